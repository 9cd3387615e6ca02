/**
 * Reads that wait at the same time share one query.
 *
 * Invariant: a read is answered by a query that began after it was asked for, so it sees every write that was answered
 * before. Nothing waits while a query may start. So whatever many ask at once takes a few connections at most, and leaves
 * the others to writes.
 */

import { Lanes } from './lanes.ts'

/** Queries under way at most. */
const queriesUnderWayMax = 2

export interface CoalescedReadsOptions<K, V> {
  /** The values that are there; keys without one are left out. */
  readonly query: (keys: readonly K[]) => Promise<ReadonlyMap<K, V>>
  /** Keys in a query at most. */
  readonly keysPerQueryMax: number
  /** Runs `work` after everything that has arrived by now was asked for. */
  readonly defer: (work: () => void) => void
  /** A read that has waited for so long is not begun any more: its client has been told, ms. */
  readonly waitMaxMs: number
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
}

interface Wanted<V> {
  /** When it was last asked for. */
  since: number
  readonly promise: Promise<V | undefined>
  readonly resolve: (value: V | undefined) => void
  readonly reject: (error: unknown) => void
}

export class CoalescedReads<K, V> {
  readonly #options: CoalescedReadsOptions<K, V>
  readonly #lanes: Lanes
  readonly #wanted = new Map<K, Wanted<V>>()

  constructor(options: CoalescedReadsOptions<K, V>) {
    this.#options = options
    this.#lanes = new Lanes(options.defer, [{ max: queriesUnderWayMax, begin: () => this.#begin() }])
  }

  /** The value of a key, undefined if there is none. Rejects if its query fails. */
  read(key: K): Promise<V | undefined> {
    const since = this.#options.now()
    const known = this.#wanted.get(key)
    if (known) {
      known.since = since
      return known.promise
    }
    const { promise, resolve, reject } = Promise.withResolvers<V | undefined>()
    this.#wanted.set(key, { since, promise, resolve, reject })
    this.#lanes.schedule()
    return promise
  }

  #begin(): Promise<void> | undefined {
    const { keysPerQueryMax, waitMaxMs, now } = this.#options
    const oldest = now() - waitMaxMs
    const taken: [K, Wanted<V>][] = []
    for (const [key, wanted] of this.#wanted) {
      if (taken.length === keysPerQueryMax) break
      this.#wanted.delete(key)
      if (wanted.since < oldest) wanted.reject(new Error(`waited for more than ${waitMaxMs} ms`))
      else taken.push([key, wanted])
    }
    return taken.length > 0 ? this.#run(taken) : undefined
  }

  /** Never rejects. */
  async #run(taken: readonly (readonly [K, Wanted<V>])[]): Promise<void> {
    try {
      const values = await this.#options.query(taken.map(([key]) => key))
      for (const [key, { resolve }] of taken) resolve(values.get(key))
    } catch (error) {
      for (const [, { reject }] of taken) reject(error)
    }
  }
}
