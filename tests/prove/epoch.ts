/**
 * A stretch of load with faults: at its end everything is healed, the regions are compared, and what they hold is
 * compared with what the clients were told.
 */

import { loadavg } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { audit, readVectors } from '../support/audit.ts'
import { History, type Observation } from '../support/history.ts'
import { Load } from '../support/load.ts'
import { waitForEqualRegions } from '../support/regions.ts'
import { checkFailures, checkLag, checkObservations, checkRecoveries } from './checkers.ts'
import type { Nemesis } from './nemesis.ts'
import type { Step } from './plan.ts'
import type { Random } from './random.ts'
import type { EpochRecord, FailureRecord, FaultRecord, Problem, RunRecord, Second } from './record.ts'
import { Sampler } from './sampler.ts'
import type { Target } from './target.ts'

/** Through NGINX; and at each backend directly. */
const clients = { us: 6, eu: 6 }
const writesPerSecond = 120
const directWritesPerSecond = 10
/** Share of writes that delete; whoever meets a deleted property restores it. */
const deletes = 0.05
const writesBeforeFaults = 50
const convergenceMaxMs = 30_000

export type EpochOptions = {
  readonly target: Target
  readonly nemesis: Nemesis
  readonly random: Random
  readonly properties: readonly number[]
  /** On `performance.now()`: begin of the run, and end of the faults. */
  readonly origin: number
  readonly until: number
  readonly nextStep: () => { readonly step: Step; readonly number: number }
  readonly onFaults: (faults: readonly FaultRecord[], failures: number) => void
}

export type EpochResult = Pick<RunRecord, 'faults' | 'failures' | 'seconds' | 'samples' | 'problems'> & {
  readonly epoch: Omit<EpochRecord, 'backendsPerRegion'>
}

export async function runEpoch(options: EpochOptions): Promise<EpochResult> {
  const { target, properties, origin } = options
  const before = await readVectors(target.databases.us, properties)
  const observations: Observation[] = []
  const beganAt = performance.now() - origin
  const [through, ...direct] = startLoads(options, (seen) => observations.push(seen))
  if (!through) throw new Error('unreachable')
  const loads = [through, ...direct]
  const sampler = Sampler.start(target, origin, {
    histories: loads.map(({ history }) => history),
    properties,
  })
  let faults: FaultRecord[]
  try {
    await through.acknowledges(writesBeforeFaults)
    faults = await runFaults(options, through)
  } finally {
    await target.revive()
    await Promise.all(loads.map((load) => load.stop()))
    await sampler.stop()
  }
  const history = History.join(loads.map((load) => load.history))
  const endedAt = performance.now() - origin
  const failures = failuresOf(through.history, false, origin).concat(
    ...direct.map((load) => failuresOf(load.history, true, origin)),
  )
  const problems: Problem[] = []
  const found = (check: string, texts: readonly string[]): void => {
    for (const text of texts) problems.push({ check, at: endedAt, text })
  }
  let equalAfterMs: number | undefined
  try {
    equalAfterMs = await waitForEqualRegions(target, { since: history.lastAt, timeoutMs: convergenceMaxMs })
  } catch (error) {
    found('equal regions', [error instanceof Error ? error.message : String(error)])
  }
  const { problems: wrong, ...figures } = await audit(target.databases.us, history, before)
  found('no write lost or doubled', wrong)
  found('versions and ETags', checkObservations(observations))
  found('true lag', checkLag(sampler.samples))
  found('no failed request', checkFailures(failures, faults))
  found('recovery', checkRecoveries(faults))
  return {
    epoch: {
      beganAt,
      endedAt,
      audit: figures,
      equalAfterMs,
      unresolved: history.unresolved.length,
      observations: observations.length,
      loadAverage: loadavg()[0] ?? 0,
    },
    faults,
    failures,
    seconds: secondsOf(history, origin, beganAt, endedAt),
    samples: sampler.samples,
    problems,
  }
}

function startLoads(
  { target, properties, random }: EpochOptions,
  observe: (seen: Observation) => void,
): Load[] {
  const common = { properties, random, observe, deletes }
  const direct = target.backends.map(({ url, region }) =>
    Load.start({ ...common, url, clients: { [region]: 1 }, writesPerSecond: directWritesPerSecond }),
  )
  return [Load.start({ ...common, url: target.url, clients, writesPerSecond }), ...direct]
}

async function runFaults({ nemesis, until, nextStep, onFaults }: EpochOptions, load: Load) {
  const faults: FaultRecord[] = []
  while (performance.now() < until) {
    const { step, number } = nextStep()
    await delay(step.pauseMs)
    const failedBefore = load.history.failures.length
    const done = await nemesis.run(step, number)
    faults.push(...done)
    onFaults(done, load.history.failures.length - failedBefore)
  }
  return faults
}

function failuresOf(history: History, direct: boolean, origin: number): FailureRecord[] {
  return history.failures.map(({ beganAt, at, reason, path, requestId }) => ({
    beganAt: beganAt - origin,
    at: at - origin,
    reason,
    path,
    requestId,
    direct,
  }))
}

function secondsOf(history: History, origin: number, from: number, to: number): Second[] {
  const second = (at: number): number => Math.floor((at - origin) / 1_000)
  const acknowledged = Map.groupBy(history.acknowledged, ({ at }) => second(at))
  const failed = Map.groupBy(history.failures, ({ at }) => second(at))
  const first = Math.floor(from / 1_000)
  return Array.from({ length: Math.max(0, Math.ceil(to / 1_000) - first) }, (_, index): Second => {
    const number = first + index
    const latencies = (acknowledged.get(number) ?? [])
      .map(({ latencyMs }) => latencyMs)
      .toSorted((a, b) => a - b)
    const percentile = (share: number): number | undefined => latencies[Math.floor(latencies.length * share)]
    return {
      at: number * 1_000,
      acknowledged: latencies.length,
      failed: failed.get(number)?.length ?? 0,
      p50: percentile(0.5),
      p99: percentile(0.99),
    }
  })
}
