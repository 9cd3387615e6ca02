/**
 * The HTTP layer's store on the region's database.
 *
 * Invariant: whatever the database does wrong is one `UnavailableError`, a 503 that another region can answer; what a
 * client can cause is validated before it gets here.
 */

import type pg from 'pg'
import { viewOf } from './domain/property.ts'
import { UnavailableError, type PropertyStore } from './http/store.ts'
import { readConflictsOf, readOpenConflicts } from './postgres/read-conflicts.ts'
import { readProperty } from './postgres/read-property.ts'
import { writeProperty } from './postgres/write-property.ts'

/**
 * Requests that wait for a connection at most. Those beyond are refused at once with 429: they would give up after
 * `poolWaitMs` anyway, and waiting they would only delay the ones before them.
 */
export const waitingRequestsMax = 256

/** `actor` is called for each write, and throws `UnavailableError` while no write may be accepted. */
export function createRegionStore(pool: pg.Pool, actor: () => string): PropertyStore {
  const admit = <T>(work: () => Promise<T>): Promise<T> =>
    orUnavailable(() => {
      if (pool.waitingCount < waitingRequestsMax) return work()
      throw new UnavailableError('overloaded', 'More requests wait than this region can serve.')
    })
  return {
    read: (id) =>
      admit(async () => {
        const state = await readProperty(pool, id)
        return state && viewOf(state)
      }),
    write: (request) => admit(() => writeProperty(pool, actor(), request)),
    openConflicts: (limit) => admit(() => readOpenConflicts(pool, limit)),
    conflictsOf: (id) => admit(() => readConflictsOf(pool, id)),
  }
}

/** Longest time until a request is answered, ms: below NGINX's read timeout of 900, with room for the answer. */
const answerMaxMs = 650

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
