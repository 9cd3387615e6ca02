/**
 * What the HTTP layer needs of the database, and how a dependency says that it cannot serve.
 *
 * Invariant: outcomes that a client can cause are returned; only failures that the client has no part in are thrown,
 * as `UnavailableError` if a retry can help. Anything else that is thrown is a defect and answered 500.
 */

import type { ConflictRecord } from '../domain/conflict.ts'
import type { Representation } from '../domain/property.ts'
import type { WriteOutcome, WriteRequest } from '../domain/write.ts'
import type { UnavailableCode } from './problems.ts'

/** Why a store takes on no more requests, with what a client is told. */
export const storeRefusals = {
  overloaded: 'More requests wait than this backend can serve.',
  database_unavailable: 'The database of this region does not answer.',
} as const satisfies Partial<Record<UnavailableCode, string>>
export type StoreRefusal = keyof typeof storeRefusals

export interface PropertyStore {
  /** Why no request is taken on at present; undefined if one is. */
  refusal(): StoreRefusal | undefined
  read(id: number): Promise<Representation | undefined>
  write(request: WriteRequest): Promise<WriteOutcome>
  /** Unresolved records, newest first. */
  openConflicts(limit: number): Promise<readonly ConflictRecord[]>
  /** Every record of one property, newest first; undefined if there is no such property. */
  conflictsOf(id: number): Promise<readonly ConflictRecord[] | undefined>
}

/** A dependency cannot answer now. `detail` reaches the client: no addresses, no credentials, no SQL. */
export class UnavailableError extends Error {
  override readonly name = 'UnavailableError'
  readonly code: UnavailableCode

  constructor(code: UnavailableCode, detail: string, options?: { readonly cause: unknown }) {
    super(detail, options)
    this.code = code
  }
}
