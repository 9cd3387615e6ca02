/** The figures of a run that the terminal and the page both tell. Pure. */

import { faultsDuring, harmOf } from './checkers.ts'
import type { FaultRecord, RunRecord } from './record.ts'

export type Recovery = {
  readonly name: string
  readonly count: number
  readonly medianS: number
  readonly worstS: number
  /** Requests through NGINX that failed during these faults. */
  readonly failed: number
}

export type Summary = {
  readonly faults: number
  readonly acknowledged: number
  /** Findings of the audit: lost, doubled, or not as answered. */
  readonly lost: number
  readonly twins: number
  readonly conflicts: number
  readonly failuresThrough: number
  readonly failuresDirect: number
  /** Writes given up without an answer; they may have happened or not. */
  readonly unresolved: number
  /** Why requests through NGINX failed, the most frequent first: during which harm, and what the client saw. */
  readonly reasons: ReadonlyArray<{
    readonly during: string
    readonly reason: string
    readonly count: number
  }>
  readonly recoveries: readonly Recovery[]
}

export function summarize(record: RunRecord): Summary {
  const sum = (of: (epoch: RunRecord['epochs'][number]) => number): number =>
    record.epochs.reduce((total, epoch) => total + of(epoch), 0)
  const direct = record.failures.filter((failure) => failure.direct).length
  return {
    faults: record.faults.length,
    acknowledged: sum(({ audit }) => audit.acknowledged),
    lost: record.problems.filter(({ check }) => check === 'no write lost or doubled').length,
    twins: sum(({ audit }) => audit.twins),
    conflicts: sum(({ audit }) => audit.conflicts),
    failuresThrough: record.failures.length - direct,
    failuresDirect: direct,
    unresolved: sum(({ unresolved }) => unresolved),
    reasons: reasonsOf(record),
    recoveries: recoveriesOf(record),
  }
}

/** `backend-us-2` and `backend-eu` are both a backend. */
function kindOfVictim(victim: string): string {
  if (victim.endsWith('–kafka')) return 'region–Kafka'
  if (victim.endsWith('–postgres')) return 'backend–PostgreSQL'
  if (victim === 'us' || victim === 'eu') return ''
  if (/^(postgres|db)-/.test(victim)) return 'PostgreSQL'
  return victim
    .replace(/^backend-.*/, 'backend')
    .replace('kafka', 'Kafka')
    .replace('nginx', 'NGINX')
}

function reasonsOf({ failures, faults }: RunRecord): Summary['reasons'] {
  const entries = failures
    .filter((failure) => !failure.direct)
    .map((failure) => {
      const harms = faultsDuring(failure, faults)
        .map(harmOf)
        .filter((harm) => harm !== 'none')
      const during = harms.includes('entrance') ? 'NGINX down or frozen' : harms.join(' and ') || 'neither'
      return { during, reason: failure.reason }
    })
  return [...Map.groupBy(entries, ({ during, reason }) => `${during}: ${reason}`).values()]
    .flatMap((alike) => (alike[0] ? [{ ...alike[0], count: alike.length }] : []))
    .toSorted((a, b) => b.count - a.count)
}

function recoveriesOf({ faults, failures }: RunRecord): Recovery[] {
  const stepKey = ({ step, recoveredAt }: FaultRecord): string => `${step} ${recoveredAt}`
  const steps = Map.groupBy(faults, stepKey)
  const nameOf = (fault: FaultRecord): string =>
    (steps.get(stepKey(fault))?.length ?? 1) > 1 ? 'overlapping faults' : singleName(fault)
  const failedIn = (some: readonly FaultRecord[]): number =>
    failures.filter((failure) => !failure.direct && faultsDuring(failure, some).length > 0).length
  return [...Map.groupBy(faults, nameOf)]
    .map(([name, some]) => {
      const times = some
        .map((fault) => secondsToRecover(fault, steps.get(stepKey(fault)) ?? [fault]))
        .toSorted((a, b) => a - b)
      return {
        name,
        count: some.length,
        medianS: times[Math.floor(times.length / 2)] ?? 0,
        worstS: times.at(-1) ?? 0,
        failed: failedIn(some),
      }
    })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

function singleName({ kind, victim }: FaultRecord): string {
  return `${kind} ${kindOfVictim(victim)}`.trim()
}

/** From the healing of a step's last fault. */
export function secondsToRecover({ recoveredAt }: FaultRecord, step: readonly FaultRecord[]): number {
  if (recoveredAt === undefined) return Number.POSITIVE_INFINITY
  return (recoveredAt - Math.max(...step.map(({ healedAt }) => healedAt))) / 1_000
}
