/** `docs/benchmarks.svg`: every goal is the same line, and a bar shows how far a figure is from it. Pure. */

import { judge, type Goal, type Row } from '../figure.ts'
import { threeDigits } from '../statistics.ts'
import { goalText, withUnit } from './texts.ts'

const width = 980
const left = 440
const right = 190
const rowHeight = 34
const barHeight = 14
const top = 64
const bottom = 30
/** Right end of the axis, in goals. */
const shareMax = 2
const titleMax = 68

/** Colours that GitHub's light and dark pages both let one read; texts change with the page. */
const style = `
  text { font: 12px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #1f2328 }
  .quiet { fill: #59636e }
  .title { font-size: 15px; font-weight: 600 }
  .number { font-weight: 600 }
  .met { fill: #2da44e }
  .missed { fill: #d1702a }
  .track { fill: #8c959f; opacity: 0.15 }
  .goal { stroke: #1f2328; stroke-width: 1.5 }
  .spread { stroke: #1f2328; stroke-width: 1.2; opacity: 0.7 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .quiet { fill: #9198a1 }
    .met { fill: #3fb950 }
    .missed { fill: #e3893f }
    .goal, .spread { stroke: #f0f6fc }
  }`

type Judged = { row: Row; goal: Goal }

export function renderSvg(rows: readonly Row[]): string {
  const judged = rows.flatMap((row): Judged[] => (row.goal ? [{ row, goal: row.goal }] : []))
  const height = top + judged.length * rowHeight + bottom
  const goalX = xOf(1)
  const missed = judged.filter(({ row }) => !judge(row).met).length
  const verdict =
    missed === 0
      ? `all ${judged.length} goals met`
      : `${judged.length - missed} of ${judged.length} goals met`
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="Benchmarks: ${verdict}">`,
    `<style>${style}\n</style>`,
    `<text class="title" x="16" y="26">Figures against their goals: ${verdict}</text>`,
    `<text class="quiet" x="16" y="46">A bar that reaches the line meets its goal; twice as far is twice as good. Thin lines: least to greatest round.</text>`,
    ...judged.map((one, index) => bar(one, top + index * rowHeight)),
    `<line class="goal" x1="${goalX}" x2="${goalX}" y1="${top - 6}" y2="${height - bottom}"/>`,
    ...[0.5, 1, 1.5, 2].map((share) => axisLabel(share, height - bottom + 18)),
    '</svg>',
    '',
  ].join('\n')
}

function bar({ row, goal }: Judged, y: number): string {
  const { judged, spread, anchor, met } = judge(row)
  const [from, to] = spread.map((value) => xOf(shareOf(value, goal)))
  const middle = y + barHeight / 2
  const number = anchor === undefined ? withUnit(judged, row.unit) : threeDigits(judged)
  const wanted = goalText(goal, anchor === undefined ? row.unit : undefined)
  return [
    `<g><title>${escape(row.anchor ? `${row.title}, against ${row.anchor.title}` : row.title)}</title>`,
    `<text x="${left - 12}" y="${middle + 4}" text-anchor="end">${escape(shorten(row.title))}</text>`,
    `<rect class="track" x="${left}" y="${y}" width="${xOf(shareMax) - left}" height="${barHeight}" rx="3"/>`,
    `<rect class="${met ? 'met' : 'missed'}" x="${left}" y="${y}" width="${Math.max(2, xOf(shareOf(judged, goal)) - left)}" height="${barHeight}" rx="3"/>`,
    from === to ? '' : `<line class="spread" x1="${from}" x2="${to}" y1="${middle}" y2="${middle}"/>`,
    `<text class="number" x="${width - right + 14}" y="${middle + 4}">${escape(number)}</text>`,
    `<text class="quiet" x="${width - 16}" y="${middle + 4}" text-anchor="end">goal ${escape(wanted)}</text></g>`,
  ].join('')
}

/** How much of its goal a number is; more is better either way. */
export function shareOf(value: number, goal: Goal): number {
  return 'atLeast' in goal ? value / goal.atLeast : goal.atMost / value
}

function xOf(share: number): number {
  const inside = Math.min(Math.max(share, 0), shareMax)
  return Math.round(left + (inside / shareMax) * (width - left - right))
}

function axisLabel(share: number, y: number): string {
  const text = share === 1 ? 'goal' : `${share} ×`
  return `<text class="quiet" x="${xOf(share)}" y="${y}" text-anchor="middle">${text}</text>`
}

function shorten(title: string): string {
  const plain = title.replaceAll('`', '')
  return plain.length <= titleMax ? plain : `${plain.slice(0, titleMax - 1)}…`
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
