/** What `createHttpApp` is constructed from: all that the HTTP layer knows of the rest of the backend. */

import type { Logger } from 'pino'
import type { UnavailableCode } from './problems.ts'
import type { PropertyStore } from './store.ts'

/** Whether the data routes may be served, and what keeps them from it. */
export type Readiness =
  | { readonly ready: true }
  | { readonly ready: false; readonly code: UnavailableCode; readonly detail: string }

export interface LagReport {
  /** The region that answers. */
  readonly region: string
  /** The greatest lag of all sources; null if one of them is not known yet. */
  readonly lag_seconds: number | null
  readonly sources: Readonly<Record<string, object>>
}

export interface HttpMetrics {
  readonly contentType: string
  text(): Promise<string>
  /** `route` is a template and `outcome` a problem code or `ok`, `not_modified`, `aborted`: both have few values. */
  observeRequest(route: string, method: string, status: number, outcome: string, seconds: number): void
}

export interface HttpDependencies {
  readonly region: string
  /** All regions, this one among them. */
  readonly regions: readonly string[]
  readonly store: PropertyStore
  readiness(): Readiness
  /** Resolves if the database answers within a bound of its own, throws otherwise. */
  probe(): Promise<void>
  /** Throws `UnavailableError` if the marks cannot be read. */
  lag(): Promise<LagReport>
  readonly metrics: HttpMetrics
  readonly log: Logger
  /** Milliseconds of a monotonic clock, for durations. */
  now(): number
}
