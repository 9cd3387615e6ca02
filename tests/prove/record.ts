/** What a run writes down. Times are milliseconds since the run's begin. */

import type { Audit } from '../support/audit.ts'
import type { FaultKind } from './plan.ts'

export type FaultRecord = {
  readonly kind: FaultKind
  readonly victim: string
  /** Faults of one step overlap. */
  readonly step: number
  readonly beganAt: number
  /** When the part was let go or started again. */
  readonly healedAt: number
  /** When the lag was near 0 everywhere and every region answered its own clients; undefined if never. */
  readonly recoveredAt: number | undefined
}

/** One look at one region. */
export type LagSample = {
  /** When the lag was asked for. */
  readonly at: number
  readonly region: string
  readonly backend: string
  /** Seconds; null if the backend says that it does not know, undefined if it did not answer. */
  readonly lag: number | null | undefined
  /**
   * Seconds from the acknowledgement of the oldest write that had not been merged here to `at`; 0 if there was none,
   * undefined if the database did not answer.
   */
  readonly age: number | undefined
  /** Acknowledged writes of other regions that had not been merged here. */
  readonly unmerged: number | undefined
}

export type FailureRecord = {
  readonly beganAt: number
  readonly at: number
  readonly reason: string
  readonly path: string
  /** As in the logs; none on a read. */
  readonly requestId: string | undefined
  /** Past NGINX, at one backend. */
  readonly direct: boolean
}

/** One second of the load. */
export type Second = {
  readonly at: number
  readonly acknowledged: number
  readonly failed: number
  /** Milliseconds; undefined in a second without an acknowledgement. */
  readonly p50: number | undefined
  readonly p99: number | undefined
}

/** A stretch of load with its faults, at whose end the regions were compared and audited. */
export type EpochRecord = {
  readonly beganAt: number
  readonly endedAt: number
  readonly backendsPerRegion: number
  readonly audit: Omit<Audit, 'problems'>
  readonly equalAfterMs: number | undefined
  readonly unresolved: number
  readonly observations: number
  /** Processes that ran or waited for a core, the last minute's average: far above the cores, times say little. */
  readonly loadAverage: number
}

export type Problem = { readonly check: string; readonly at: number; readonly text: string }

export type RunRecord = {
  readonly seed: number
  readonly scenario: string
  readonly target: string
  readonly minutes: number
  readonly startedAt: string
  readonly cores: number
  readonly durationMs: number
  readonly passed: boolean
  readonly problems: readonly Problem[]
  readonly faults: readonly FaultRecord[]
  readonly epochs: readonly EpochRecord[]
  readonly failures: readonly FailureRecord[]
  readonly seconds: readonly Second[]
  readonly samples: readonly LagSample[]
}
