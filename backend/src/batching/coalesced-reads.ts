/**
 * Reads that wait at the same time share one query.
 *
 * Invariant: a read is answered by a query that began after it was asked for, so it sees every write that was answered
 * before. Nothing waits while a query may start.
 */

import { Lanes } from './lanes.ts'

/** Keys in a query at most. */
const keysPerQueryMax = 256
/** Queries under way at most. */
const queriesUnderWayMax = 2

export interface CoalescedReadsOptions<K, V> {
  /** The values that are there; keys without one are left out. */
  readonly query: (keys: readonly K[]) => Promise<ReadonlyMap<K, V>>
  /** Runs `work` after everything that has arrived by now was asked for. */
  readonly defer: (work: () => void) => void
}

interface Wanted<V> {
  readonly promise: Promise<V | undefined>
  readonly resolve: (value: V | undefined) => void
  readonly reject: (error: unknown) => void
}

export class CoalescedReads<K, V> {
  readonly #query: CoalescedReadsOptions<K, V>['query']
  readonly #lanes: Lanes
  readonly #wanted = new Map<K, Wanted<V>>()

  constructor({ query, defer }: CoalescedReadsOptions<K, V>) {
    this.#query = query
    this.#lanes = new Lanes(defer, [{ max: queriesUnderWayMax, begin: () => this.#begin() }])
  }

  /** The value of a key, undefined if there is none. Rejects if its query fails. */
  read(key: K): Promise<V | undefined> {
    const wanted = this.#wanted.get(key) ?? Promise.withResolvers<V | undefined>()
    this.#wanted.set(key, wanted)
    this.#lanes.schedule()
    return wanted.promise
  }

  #begin(): Promise<void> | undefined {
    if (this.#wanted.size === 0) return undefined
    const taken = [...this.#wanted].slice(0, keysPerQueryMax)
    for (const [key] of taken) this.#wanted.delete(key)
    return this.#run(taken)
  }

  /** Never rejects. */
  async #run(taken: readonly (readonly [K, Wanted<V>])[]): Promise<void> {
    try {
      const values = await this.#query(taken.map(([key]) => key))
      for (const [key, { resolve }] of taken) resolve(values.get(key))
    } catch (error) {
      for (const [, { reject }] of taken) reject(error)
    }
  }
}
