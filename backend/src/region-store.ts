/**
 * The HTTP layer's store on the region's database.
 *
 * Invariant: whatever the database does wrong is one `UnavailableError`, a 503 that another region can answer; what a
 * client can cause is validated before it gets here.
 */

import pg from 'pg'
import { Admission } from './batching/admission.ts'
import { CoalescedReads } from './batching/coalesced-reads.ts'
import { GroupCommit } from './batching/group-commit.ts'
import type { ConflictRecord } from './domain/conflict.ts'
import type { Representation } from './domain/property.ts'
import { storeRefusals, UnavailableError, type PropertyStore } from './http/store.ts'
import { readConflictsOf, readOpenConflicts } from './postgres/read-conflicts.ts'
import { Representations } from './postgres/representations.ts'
import { explainRefusals, writeBatch } from './postgres/write-batch.ts'

/** Longest time until a request is answered, ms: below NGINX's read timeout of 900, with room for the answer. */
export const answerMaxMs = 650

/** Properties in a query at most. */
const propertiesPerQueryMax = 256

/** SQLSTATE classes of failures that one of several writes has caused: data, constraint, rolled back as a victim. */
const classesDueToOne: ReadonlySet<string> = new Set(['22', '23', '40'])

export interface RegionStoreOptions {
  readonly pool: pg.Pool
  /** Throws `UnavailableError` while no write may be accepted. */
  readonly actor: () => string
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
  /** A statement is sent for so many writes. */
  readonly observeBatch: (writes: number) => void
}

export function createRegionStore({ pool, actor, now, observeBatch }: RegionStoreOptions): PropertyStore {
  const admission = new Admission(now)
  const admit = <T>(work: () => Promise<T>): Promise<T> => {
    const { refusal } = admission
    if (refusal) return Promise.reject(new UnavailableError(refusal, storeRefusals[refusal]))
    return admission.run(() => orUnavailable(work()))
  }
  const shared = { defer: setImmediate, waitMaxMs: answerMaxMs, now }
  const writes = new GroupCommit({
    commit: async (batch) => {
      observeBatch(batch.length)
      return writeBatch(pool, actor(), batch)
    },
    explain: (refused) => explainRefusals(pool, refused),
    isDueToOne: (error) =>
      error instanceof pg.DatabaseError && classesDueToOne.has(error.code?.slice(0, 2) ?? ''),
    ...shared,
  })
  const representations = new Representations(pool)
  const reads = new CoalescedReads<number, Representation>({
    query: (ids) => representations.read(ids),
    keysPerQueryMax: propertiesPerQueryMax,
    ...shared,
  })
  const openConflicts = new CoalescedReads<number, readonly ConflictRecord[]>({
    query: async ([limit = 0]) => new Map([[limit, await readOpenConflicts(pool, limit)]]),
    keysPerQueryMax: 1,
    ...shared,
  })
  const conflictsOf = new CoalescedReads<number, readonly ConflictRecord[]>({
    query: async ([id = 0]) => {
      const records = await readConflictsOf(pool, id)
      return new Map(records ? [[id, records]] : [])
    },
    keysPerQueryMax: 1,
    ...shared,
  })
  return {
    refusal: () => admission.refusal,
    read: (id) => admit(() => reads.read(id)),
    write: (request) => admit(() => writes.submit(request)),
    openConflicts: (limit) => admit(async () => (await openConflicts.read(limit)) ?? []),
    conflictsOf: (id) => admit(() => conflictsOf.read(id)),
  }
}

/**
 * Turns every failure of the database into an `UnavailableError`, and an answer that takes too long as well. Every request
 * passes here: the promises of `then(…).finally(…)`, which would be shorter, took a twentieth of a read's time.
 */
export function orUnavailable<T>(work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => reject(unavailable(error))
    const timer = setTimeout(() => fail(new Error(`no answer within ${answerMaxMs} ms`)), answerMaxMs)
    const settle = async (): Promise<void> => {
      try {
        resolve(await work)
      } catch (error) {
        fail(error)
      } finally {
        clearTimeout(timer)
      }
    }
    void settle()
  })
}

function unavailable(error: unknown): UnavailableError {
  if (error instanceof UnavailableError) return error
  const detail = 'The database of this region does not answer in time.'
  return new UnavailableError('database_unavailable', detail, { cause: error })
}
