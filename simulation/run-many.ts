/** Runs many histories, on all processors. A seed gives one history, wherever it runs. */

import { availableParallelism } from 'node:os'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { runHistory } from './history.ts'
import { makePlan } from './plan.ts'

export interface Range {
  /** Seeds from here on, */
  readonly seed: number
  /** so many. */
  readonly histories: number
  /** Whether to end at the first failure. */
  readonly stopAtFailure: boolean
}

export interface Totals {
  histories: number
  events: number
  virtualMs: number
  twins: number
  conflicts: number
  deletes: number
  restores: number
  integerHistories: number
  integerExceptions: number
  readonly failures: { readonly seed: number; readonly problems: readonly string[] }[]
}

/** What a history counts of itself. */
const summed = [
  'events',
  'virtualMs',
  'twins',
  'conflicts',
  'deletes',
  'restores',
  'integerExceptions',
] as const

const stackTraceLimit = 2

export async function runHere({ seed, histories, stopAtFailure }: Range): Promise<Totals> {
  // Simulated failures are errors by the thousand, and nobody reads where they come from.
  Error.stackTraceLimit = stackTraceLimit
  const totals: Totals = {
    histories: 0,
    events: 0,
    virtualMs: 0,
    twins: 0,
    conflicts: 0,
    deletes: 0,
    restores: 0,
    integerHistories: 0,
    integerExceptions: 0,
    failures: [],
  }
  for (let each = seed; each < seed + histories; each++) {
    const plan = makePlan(each)
    const result = await runHistory(plan)
    totals.histories++
    for (const name of summed) totals[name] += result[name]
    if (plan.guard === 'version') totals.integerHistories++
    if (result.problems.length > 0) totals.failures.push({ seed: each, problems: result.problems })
    if (stopAtFailure && totals.failures.length > 0) break
  }
  return totals
}

/** Histories below which starting a thread costs more than it gains. */
const perThreadMin = 100

export async function runMany(range: Range): Promise<Totals> {
  const threads = Math.min(availableParallelism(), Math.ceil(range.histories / perThreadMin))
  if (threads < 2) return runHere(range)
  const share = Math.ceil(range.histories / threads)
  const parts = await Promise.all(
    Array.from({ length: threads }, (_, index) => {
      const seed = range.seed + index * share
      return runInThread({ ...range, seed, histories: Math.min(share, range.seed + range.histories - seed) })
    }),
  )
  return parts.reduce((sum, part) => {
    for (const name of [...summed, 'histories', 'integerHistories'] as const) sum[name] += part[name]
    sum.failures.push(...part.failures)
    return sum
  })
}

function runInThread(range: Range): Promise<Totals> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: range })
    worker.once('message', resolve)
    worker.once('error', reject)
  })
}

if (!isMainThread && parentPort) {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port of a thread has no origin
  parentPort.postMessage(await runHere(workerData as Range))
}
