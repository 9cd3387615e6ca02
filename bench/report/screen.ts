/** The table as text for a terminal. Pure. */

import { judge, type Goal, type Row } from '../figure.ts'
import { threeDigits } from '../statistics.ts'

export function goalText(goal: Goal | undefined): string {
  if (!goal) return ''
  return 'atLeast' in goal ? `≥ ${threeDigits(goal.atLeast)}` : `≤ ${threeDigits(goal.atMost)}`
}

export function metText(met: boolean | undefined): string {
  if (met === undefined) return ''
  return met ? 'met' : 'not met'
}

export function tableOnScreen(rows: readonly Row[]): string {
  const lines = rows.map((row) => {
    const { value, anchor, judged, spread, met } = judge(row)
    const unit = row.unit.startsWith('/') ? row.unit : ` ${row.unit}`
    const against = anchor === undefined ? '' : ` against ${threeDigits(anchor)}${unit}`
    const ratio = anchor === undefined ? '' : `ratio ${threeDigits(judged)} `
    const range = spread[0] === spread[1] ? '' : `(${spread.map(threeDigits).join('–')}) `
    const verdict = row.goal ? `goal ${goalText(row.goal)}: ${metText(met)}` : ''
    return `${row.title}\n    ${threeDigits(value)}${unit}${against}  ${ratio}${range}${verdict}`
  })
  return lines.join('\n')
}
