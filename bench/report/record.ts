/** What a run leaves behind: everything that its report is made of. */

import type { Failure } from '../run.ts'
import type { Row, Size } from '../figure.ts'
import type { Machine } from './machine.ts'

export type RunRecord = {
  readonly at: string
  readonly commit: string | undefined
  readonly size: Size
  readonly rounds: number
  readonly seconds: number
  readonly minutes: number
  readonly machine: Machine
  /** Writes that were answered with 429 or 503, in all measurements. */
  readonly overloads: number
  readonly failures: readonly Failure[]
  readonly rows: readonly Row[]
}
