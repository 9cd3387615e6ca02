/**
 * One fault under load: what every such test does around the fault itself.
 *
 * Invariant: whatever was done to the system, afterwards both regions hold the same, and exactly what the clients
 * were told.
 */

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { audit, readVectors, type Audit } from './audit.ts'
import type { History } from './history.ts'
import { Load, type LoadOptions } from './load.ts'
import { waitForEqualRegions } from './regions.ts'
import { revive, type System } from './system.ts'

export type TrialOptions = Omit<LoadOptions, 'url'> & {
  /** How long after the last write the regions may differ. */
  readonly convergenceMaxMs: number
}

export type Trial = { readonly history: History; readonly audit: Audit; readonly convergedMs: number }

/** Acknowledged writes before the fault begins: the load is under way then. */
const writesBeforeFault = 50

/** Runs `fault` under load, then waits for equal regions and compares them with what the clients were told. */
export async function underLoad(
  t: TestContext,
  system: System,
  { convergenceMaxMs, ...options }: TrialOptions,
  fault: (load: Load) => Promise<void>,
): Promise<Trial> {
  const before = await readVectors(system.databases.us, options.properties)
  const load = Load.start({ ...options, url: system.stack.url })
  let history: History
  try {
    await load.acknowledges(writesBeforeFault)
    await fault(load)
  } finally {
    history = await load.stop()
    await revive(system.stack)
  }
  const convergedMs = await waitForEqualRegions(system, {
    since: history.lastAt,
    timeoutMs: convergenceMaxMs,
  })
  const result = await audit(system.databases.us, history, before)
  const { problems, ...figures } = result
  const slowestMs = Math.max(...history.acknowledged.map(({ latencyMs }) => latencyMs))
  t.diagnostic(
    `${JSON.stringify({ ...figures, failed: history.failures.length, unresolved: history.unresolved.length })}, ` +
      `slowest write ${Math.round(slowestMs)} ms, equal ${Math.round(convergedMs)} ms after the last one`,
  )
  assert.deepEqual(problems, [])
  return { history, audit: result, convergedMs }
}

/** That no request of the load has failed, not even one whose repetition succeeded. */
export function assertNoFailures({ history }: Trial): void {
  assert.deepEqual(history.failures, [])
}
