/**
 * The HTTP layer's store on the region's database.
 *
 * Invariant: whatever the database does wrong is one `UnavailableError`, a 503 that another region can answer; what a
 * client can cause is validated before it gets here.
 */

import pg from 'pg'
import { CoalescedReads } from './batching/coalesced-reads.ts'
import { GroupCommit } from './batching/group-commit.ts'
import { UnderWayLimit } from './batching/under-way-limit.ts'
import { viewOf, type PropertyView } from './domain/property.ts'
import { UnavailableError, type PropertyStore } from './http/store.ts'
import { readConflictsOf, readOpenConflicts } from './postgres/read-conflicts.ts'
import { readProperties } from './postgres/read-properties.ts'
import { explainRefusals, writeBatch } from './postgres/write-batch.ts'

/**
 * Requests under way at most, fewer while they would not be answered in time: more than twice what a full pipeline of batches takes, so that it never runs dry. Those
 * beyond are refused at once with 429, since waiting they would only delay the ones before them.
 */
export const requestsUnderWayMax = 512
/** A database that has answered nothing for so long, while requests wait, is not overloaded but gone, ms. */
const silenceMaxMs = 300

/** Longest time until a request is answered, ms: below NGINX's read timeout of 900, with room for the answer. */
const answerMaxMs = 650

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
  const admit = createAdmission(now)
  const writes = new GroupCommit({
    commit: async (batch) => {
      observeBatch(batch.length)
      return writeBatch(pool, actor(), batch)
    },
    explain: (stale) => explainRefusals(pool, stale, 'busy'),
    isDueToOne: (error) =>
      error instanceof pg.DatabaseError && classesDueToOne.has(error.code?.slice(0, 2) ?? ''),
    defer: setImmediate,
    waitMaxMs: answerMaxMs,
    now,
  })
  const reads = new CoalescedReads<number, PropertyView>({
    query: async (ids) =>
      new Map((await readProperties(pool, ids)).map((state) => [state.id, viewOf(state)])),
    defer: setImmediate,
  })
  return {
    read: (id) => admit(() => reads.read(id)),
    write: (request) => admit(() => writes.submit(request)),
    openConflicts: (limit) => admit(() => readOpenConflicts(pool, limit)),
    conflictsOf: (id) => admit(() => readConflictsOf(pool, id)),
  }
}

/** Bounds the requests under way, and the time that each of them takes. */
function createAdmission(now: () => number) {
  const limit = new UnderWayLimit(requestsUnderWayMax)
  let underWay = 0
  /** When the database has last answered, or had nothing to answer. */
  let aliveAt = now()
  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (underWay >= limit.value) {
      throw now() - aliveAt > silenceMaxMs
        ? new UnavailableError('database_unavailable', 'The database of this region does not answer.')
        : new UnavailableError('overloaded', 'More requests wait than this region can serve.')
    }
    if (underWay === 0) aliveAt = now()
    const ahead = underWay++
    const beganAt = now()
    try {
      const answer = await orUnavailable(work)
      aliveAt = now()
      return answer
    } finally {
      underWay--
      limit.observe(ahead, now() - beganAt)
    }
  }
}

/** Turns every failure of the database into an `UnavailableError`, and an answer that takes too long as well. */
export async function orUnavailable<T>(work: () => Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error(`no answer within ${answerMaxMs} ms`)), answerMaxMs)
  try {
    return await Promise.race([work(), late.promise])
  } catch (error) {
    if (error instanceof UnavailableError) throw error
    const detail = 'The database of this region does not answer in time.'
    throw new UnavailableError('database_unavailable', detail, { cause: error })
  } finally {
    clearTimeout(timer)
  }
}
