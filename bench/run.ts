/** Runs figures one after the other, and checks at the end that the regions of every system they used are equal. */

import type { Wanted } from './arguments.ts'
import { Bed, type BedOptions } from './bed.ts'
import { checkEqualRegions } from './checks.ts'
import type { Context, Figure, Row } from './figure.ts'

const lengths = {
  quick: { seconds: 2, warmUpSeconds: 3 },
  full: { seconds: 6, warmUpSeconds: 8 },
  long: { seconds: 6, warmUpSeconds: 8 },
} as const

export type Failure = { readonly figure: string; readonly reason: string }
export type Outcome = { readonly rows: readonly Row[]; readonly failures: readonly Failure[] }

export async function runFigures(
  wanted: Wanted,
  figures: readonly Figure[],
  say: (line: string) => void,
  bedOptions: BedOptions = {},
): Promise<Outcome> {
  const rows: Row[] = []
  const failures: Failure[] = []
  let shared: Promise<Bed> | undefined
  const { size, rounds, only } = wanted
  const context: Context = {
    size,
    rounds,
    ...lengths[size],
    ...(wanted.seconds !== undefined && { seconds: wanted.seconds }),
    say,
    shared: () => (shared ??= Bed.start(bedOptions)),
    withBed,
  }
  const attempt = async (figure: string, work: () => Promise<void>): Promise<void> => {
    const began = performance.now()
    say(`${figure} …`)
    try {
      await work()
    } catch (error) {
      failures.push({ figure, reason: error instanceof Error ? error.message : String(error) })
    }
    say(`  ${((performance.now() - began) / 1_000).toFixed(0)} s`)
  }
  for (const { name, run } of figures) {
    if (only && !only.includes(name)) continue
    await attempt(name, async () => void rows.push(...(await run(context))))
  }
  const bed = await shared
  if (bed) {
    await attempt('regions are equal', () => checkEqualRegions(bed))
    await bed.stop()
  }
  return { rows, failures }
}

async function withBed<T>(options: BedOptions, work: (bed: Bed) => Promise<T>): Promise<T> {
  const bed = await Bed.start(options)
  try {
    return await work(bed)
  } finally {
    await bed.stop()
  }
}
