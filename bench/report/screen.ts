/** The table as text for a terminal. Pure. */

import { judge, type Row } from '../figure.ts'
import { threeDigits } from '../statistics.ts'
import { goalText, metText, rangeText, withUnit } from './texts.ts'

export function tableOnScreen(rows: readonly Row[]): string {
  const lines = rows.map((row) => {
    const { value, anchor, judged, spread, met } = judge(row)
    const parts = [
      withUnit(value, row.unit),
      anchor === undefined ? '' : `against ${withUnit(anchor, row.unit)}: ratio ${threeDigits(judged)}`,
      spread[0] === spread[1] ? '' : `(${rangeText(spread)})`,
      row.goal ? `goal ${goalText(row.goal)}: ${metText(met)}` : '',
      row.note ?? '',
    ]
    return `${row.title}\n    ${parts.filter((part) => part !== '').join('  ')}`
  })
  return lines.join('\n')
}
