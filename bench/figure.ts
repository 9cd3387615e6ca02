/**
 * What a figure is: something that is measured, against an anchor on the same machine where there is one.
 *
 * Invariant: figure and anchor are measured in turns, and only their ratios are judged. Absolute numbers say more about
 * the machine than about the system.
 */

import type { Bed } from './bed.ts'
import { median, spread } from './statistics.ts'

export type Goal = { readonly atLeast: number } | { readonly atMost: number }

/** One line of the table. */
export type Row = {
  readonly title: string
  readonly unit: string
  /** Of every round. */
  readonly values: readonly number[]
  readonly anchor?: { readonly title: string; readonly values: readonly number[] }
  /** For the ratio if there is an anchor, otherwise for the value; none for a line that only informs. */
  readonly goal?: Goal
  readonly note?: string
}

export type Figure = {
  /** As `--only` names it. */
  readonly name: string
  /** Systems that it uses; each is started when the first figure asks for it and stopped after the last one. */
  readonly beds: readonly BedName[]
  readonly run: (context: Context) => Promise<readonly Row[]>
}

export type Context = {
  readonly size: Size
  readonly rounds: number
  /** Length of one measurement. */
  readonly seconds: number
  /** Length of the load before the first measurement: caches fill, code is compiled. */
  readonly warmUpSeconds: number
  say(line: string): void
  bed(name: BedName): Promise<Bed>
}

/**
 * `alone`: one region without Kafka. `replicated`: both, with Kafka. `fresh`: as `alone`, for comparisons with `large`,
 * which has many properties, and with `aged`, which has seen many writes.
 */
export type BedName = 'alone' | 'replicated' | 'fresh' | 'large' | 'aged'

export type Size = 'quick' | 'full' | 'long'

/** Measures both in turns; who comes first changes with every round. */
export async function inTurns(
  { rounds, say }: Pick<Context, 'rounds' | 'say'>,
  ours: () => Promise<number>,
  anchor: () => Promise<number>,
): Promise<{ values: number[]; anchors: number[] }> {
  const values: number[] = []
  const anchors: number[] = []
  for (let round = 0; round < rounds; round++) {
    const measures = [async () => values.push(await ours()), async () => anchors.push(await anchor())]
    for (const measure of round % 2 === 0 ? measures : measures.toReversed()) await measure()
    say(`  round ${round + 1}: ${values.at(-1)?.toFixed(2)} against ${anchors.at(-1)?.toFixed(2)}`)
  }
  return { values, anchors }
}

/** The numbers that the goal is about: ratios of the rounds, or their values. */
export function judgedValues({ values, anchor }: Row): readonly number[] {
  if (!anchor) return values
  return values.map((value, round) => value / (anchor.values[round] ?? Number.NaN))
}

export type Judgement = {
  readonly value: number
  readonly anchor: number | undefined
  readonly judged: number
  readonly spread: readonly [number, number]
  /** Undefined without a goal. */
  readonly met: boolean | undefined
}

export function judge(row: Row): Judgement {
  const judged = judgedValues(row)
  const middle = median(judged)
  return {
    value: median(row.values),
    anchor: row.anchor && median(row.anchor.values),
    judged: middle,
    spread: spread(judged),
    met: row.goal && isMet(middle, row.goal),
  }
}

function isMet(value: number, goal: Goal): boolean {
  return 'atLeast' in goal ? value >= goal.atLeast : value <= goal.atMost
}
