/** How numbers, goals and verdicts are spelled. Pure. */

import type { Goal } from '../figure.ts'
import { threeDigits } from '../statistics.ts'

/** `unit` for a goal that is about the value itself. */
export function goalText(goal: Goal | undefined, unit?: string): string {
  if (!goal) return ''
  const [sign, value] = 'atLeast' in goal ? ['≥', goal.atLeast] : ['≤', goal.atMost]
  return `${sign} ${unit === undefined ? threeDigits(value) : withUnit(value, unit)}`
}

export function metText(met: boolean | undefined): string {
  if (met === undefined) return ''
  return met ? 'met' : 'not met'
}

export function withUnit(value: number, unit: string): string {
  return `${threeDigits(value)}${unit.startsWith('/') ? '' : ' '}${unit}`
}

export function rangeText([least, greatest]: readonly [number, number]): string {
  return least === greatest ? '–' : `${threeDigits(least)} – ${threeDigits(greatest)}`
}
