/** Charts over one axis of time, as SVG text. Pure. */

import type { FaultKind } from './plan.ts'
import type { FaultRecord } from './record.ts'

export const bandColours: Readonly<Record<FaultKind, string>> = {
  kill: '#dc2626',
  freeze: '#2563eb',
  cut: '#ea580c',
  'half-open': '#9333ea',
  delay: '#ca8a04',
  'wal-sender': '#0d9488',
  'rolling-restart': '#64748b',
}

/** Values over time; undefined is a gap. */
export type Line = {
  readonly name: string
  readonly colour: string
  readonly points: ReadonlyArray<readonly [at: number, value: number | undefined]>
}

/** What all charts of a page share. */
export type Frame = { readonly durationMs: number; readonly faults: readonly FaultRecord[] }

const width = 1_200
const left = 150
const right = 12
const top = 22
const chartHeight = 120
const laneHeight = 15
const axisHeight = 24
const keyWidth = 150
/** Points farther apart than this are not joined: nothing was measured in between. */
const gapMinMs = 3_500
const gapMinShare = 0.005
const bandOpacity = 0.13
const tailOpacity = 0.06
const ticksMax = 16
const tickSeconds = [5, 10, 15, 30, 60, 120, 300, 600, 900]
/** Bottom of a logarithmic axis. */
const leastLogarithmic = 1

const xOf = ({ durationMs }: Frame, at: number): number =>
  round(left + (at / Math.max(1, durationMs)) * (width - left - right))

const round = (value: number): number => Math.round(value * 10) / 10

const seconds = (ms: number): string => (ms / 1_000).toFixed(1)

function svg(height: number, content: string): string {
  return `<svg viewBox="0 0 ${width} ${height}" font-family="system-ui,sans-serif" font-size="11">${content}</svg>`
}

function bar(frame: Frame, [from, to]: readonly [number, number], y: number, height: number, look: string) {
  const x = xOf(frame, from)
  return `<rect x="${x}" y="${y}" width="${Math.max(1, round(xOf(frame, to) - x))}" height="${height}" ${look}/>`
}

const tailOf = ({ healedAt, recoveredAt }: FaultRecord, frame: Frame): readonly [number, number] => [
  healedAt,
  recoveredAt ?? frame.durationMs,
]

/** One lane for each part or path that was broken. */
export function faultLanes(frame: Frame): string {
  const victims = [...new Set(frame.faults.map(({ victim }) => victim))].toSorted()
  const lanes = victims.map((victim, lane) => {
    const y = top + lane * laneHeight
    const bars = frame.faults
      .filter((fault) => fault.victim === victim)
      .map((fault) => {
        const { kind, beganAt, healedAt, recoveredAt } = fault
        const recovery =
          recoveredAt === undefined
            ? 'never recovered'
            : `recovered after ${seconds(recoveredAt - healedAt)} s`
        const colour = bandColours[kind]
        return (
          `<g><title>${kind} ${victim}: ${seconds(healedAt - beganAt)} s, ${recovery}</title>` +
          bar(frame, [beganAt, healedAt], y + 2, laneHeight - 4, `fill="${colour}"`) +
          bar(frame, tailOf(fault, frame), y + 2, laneHeight - 4, `fill="${colour}" opacity="0.3"`) +
          `</g>`
        )
      })
    return (
      `<text x="${left - 6}" y="${y + laneHeight - 4}" text-anchor="end" fill="#57534e">${victim}</text>` +
      `<line x1="${left}" x2="${width - right}" y1="${y + laneHeight}" y2="${y + laneHeight}" stroke="#f5f5f4"/>${bars.join('')}`
    )
  })
  return svg(top + victims.length * laneHeight + 6, `${title('Faults')}${lanes.join('')}`)
}

function title(text: string): string {
  return `<text x="${left}" y="14" font-weight="600" font-size="12">${text}</text>`
}

/** Lines over the faults' bands. */
export function lineChart(
  frame: Frame,
  name: string,
  lines: readonly Line[],
  scale: 'linear' | 'logarithmic' = 'linear',
): string {
  const greatest = Math.max(1, ...lines.flatMap(({ points }) => points.map(([, value]) => value ?? 0)))
  const bottom = top + chartHeight
  const share = (value: number): number =>
    scale === 'linear'
      ? value / greatest
      : Math.log(Math.max(leastLogarithmic, value)) / Math.log(Math.max(greatest, 2))
  const yOf = (value: number): number => round(bottom - share(value) * chartHeight)
  const marks = scale === 'linear' ? [0, greatest / 2, greatest] : powersUpTo(greatest)
  const grid = marks.map(
    (mark) =>
      `<line x1="${left}" x2="${width - right}" y1="${yOf(mark)}" y2="${yOf(mark)}" stroke="#e7e5e4"/>` +
      `<text x="${left - 6}" y="${yOf(mark) + 4}" text-anchor="end" fill="#57534e">${figure(mark)}</text>`,
  )
  const keys = lines.map(
    ({ name: key, colour }, index) =>
      `<text x="${width - right - (lines.length - 1 - index) * keyWidth}" y="14" text-anchor="end" fill="${colour}" font-weight="600">— ${key}</text>`,
  )
  const drawn = lines.map(
    ({ name: key, colour, points }) =>
      `<path d="${path(frame, points, yOf)}" fill="none" stroke="${colour}" stroke-width="1.4" stroke-linejoin="round"><title>${key}</title></path>`,
  )
  return svg(
    bottom + 10,
    `${title(name)}${keys.join('')}${bands(frame, bottom)}${grid.join('')}${drawn.join('')}`,
  )
}

function bands(frame: Frame, bottom: number): string {
  return frame.faults
    .map((fault) => {
      const look = (opacity: number): string => `fill="${bandColours[fault.kind]}" opacity="${opacity}"`
      return (
        `<g><title>${fault.kind} ${fault.victim}</title>` +
        bar(frame, [fault.beganAt, fault.healedAt], top, bottom - top, look(bandOpacity)) +
        bar(frame, tailOf(fault, frame), top, bottom - top, look(tailOpacity)) +
        `</g>`
      )
    })
    .join('')
}

function path(frame: Frame, points: Line['points'], yOf: (value: number) => number): string {
  let pen: 'up' | 'down' = 'up'
  let last = 0
  const gapMs = Math.max(gapMinMs, frame.durationMs * gapMinShare)
  let drawn = ''
  for (const [at, value] of points) {
    if (value === undefined) {
      pen = 'up'
      continue
    }
    if (at - last > gapMs) pen = 'up'
    last = at
    drawn += `${pen === 'up' ? 'M' : 'L'}${xOf(frame, at)} ${yOf(value)}`
    pen = 'down'
  }
  return drawn
}

function powersUpTo(greatest: number): number[] {
  const powers: number[] = []
  for (let power = 1; power <= greatest; power *= 10) powers.push(power)
  return powers
}

function figure(value: number): string {
  return value < 10 ? String(round(value)) : Math.round(value).toLocaleString('en')
}

/** The axis below all charts. */
export function timeAxis(frame: Frame): string {
  const every =
    tickSeconds.find((step) => frame.durationMs / 1_000 / step <= ticksMax) ?? tickSeconds.at(-1) ?? 60
  const ticks: string[] = []
  for (let at = 0; at <= frame.durationMs; at += every * 1_000) {
    const label = `${Math.floor(at / 60_000)}:${String(Math.floor(at / 1_000) % 60).padStart(2, '0')}`
    const x = xOf(frame, at)
    ticks.push(
      `<line x1="${x}" x2="${x}" y1="0" y2="4" stroke="#78716c"/><text x="${x}" y="16" text-anchor="middle" fill="#57534e">${label}</text>`,
    )
  }
  return svg(
    axisHeight,
    `<line x1="${left}" x2="${width - right}" y1="0" y2="0" stroke="#78716c"/>${ticks.join('')}`,
  )
}
