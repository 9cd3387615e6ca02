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

/** `actor` is called for each write, and throws `UnavailableError` while no write may be accepted. */
export function createRegionStore(pool: pg.Pool, actor: () => string): PropertyStore {
  return {
    read: (id) =>
      orUnavailable(async () => {
        const state = await readProperty(pool, id)
        return state && viewOf(state)
      }),
    write: (request) => orUnavailable(() => writeProperty(pool, actor(), request)),
    openConflicts: (limit) => orUnavailable(() => readOpenConflicts(pool, limit)),
    conflictsOf: (id) => orUnavailable(() => readConflictsOf(pool, id)),
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
