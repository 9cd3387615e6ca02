/** Runs figures one after the other, and checks at the end that the regions of every system they used are equal. */

import type { Wanted } from './arguments.ts'
import { Beds } from './beds.ts'
import type { Context, Figure, Row } from './figure.ts'
import type { Profiler } from './profile.ts'
import { describeError } from '../backend/src/runtime/describe-error.ts'

const lengths = {
  quick: { seconds: 1, warmUpSeconds: 2 },
  full: { seconds: 5, warmUpSeconds: 8 },
  long: { seconds: 5, warmUpSeconds: 8 },
} as const

export type Failure = { readonly figure: string; readonly reason: string }
export type Outcome = {
  readonly rows: readonly Row[]
  readonly failures: readonly Failure[]
  /** Writes that were answered with 429 or 503. */
  readonly overloads: number
  /** Length of one measurement. */
  readonly seconds: number
}

export async function runFigures(
  wanted: Wanted,
  figures: readonly Figure[],
  say: (line: string) => void,
  profiler?: Profiler,
): Promise<Outcome> {
  const rows: Row[] = []
  const failures: Failure[] = []
  const { size, rounds, only } = wanted
  const beds = new Beds(size, profiler ? { extra: profiler.bedOptions, beforeStop: profiler.beforeStop } : {})
  const context: Context = {
    size,
    rounds,
    ...lengths[size],
    ...(wanted.seconds !== undefined && { seconds: wanted.seconds }),
    say,
    bed: (name) => beds.get(name),
  }
  const attempt = async (figure: string, work: () => Promise<void>): Promise<void> => {
    const began = performance.now()
    say(`${figure} …`)
    try {
      await work()
    } catch (error) {
      const reason = error instanceof Error ? error.message : describeError(error)
      failures.push({ figure, reason })
      say(`  FAILED: ${reason}`)
    }
    say(`  ${((performance.now() - began) / 1_000).toFixed(0)} s`)
  }
  const asked = figures.filter(({ name }) => !only || only.includes(name))
  for (const [index, { name, run }] of asked.entries()) {
    await attempt(name, async () => void rows.push(...(await run(context))))
    const needed = new Set(asked.slice(index + 1).flatMap((figure) => figure.beds))
    for (const bed of beds.names) {
      if (!needed.has(bed)) await attempt(`end of "${bed}"`, () => beds.close(bed))
    }
  }
  return { rows, failures, overloads: beds.overloads, seconds: context.seconds }
}
