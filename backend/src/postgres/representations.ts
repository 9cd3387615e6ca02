/**
 * Properties as they were answered to reads, kept for the next read of the same state.
 *
 * Invariant: nothing is given from here that the database has not confirmed for that very read. The query names the
 * vectors of what is kept and returns the rows that differ; and a vector determines its row (`domain/property.ts`),
 * whoever has written it: this backend, another one or a merge. So what is given is never stale, and nobody has to be told
 * to forget anything. What it saves is most of a read's cost: to send, decode and serialise the row again.
 *
 * A database that is put back under a running backend gives the same vectors anew, for other contents. That breaks all
 * connections, and whenever one breaks everything is forgotten.
 */

import { LRUCache } from 'lru-cache'
import type pg from 'pg'
import { represent, type Representation } from '../domain/property.ts'
import type { Vector } from '../domain/stamp.ts'
import { readProperties } from './read-properties.ts'

/** Characters of JSON that are kept, of some thousand usual properties; in memory it is about three bytes for each. */
const keptCharactersMax = 4 * 1024 * 1024

interface Kept {
  readonly vector: Vector
  readonly representation: Representation
}

export class Representations {
  readonly #database: pg.Pool
  readonly #kept = new LRUCache<number, Kept>({
    maxSize: keptCharactersMax,
    sizeCalculation: ({ representation }) => representation.json.length,
  })

  constructor(database: pg.Pool) {
    this.#database = database
    database.on('remove', () => this.#kept.clear())
  }

  /** Those of the properties that are there. */
  async read(ids: readonly number[]): Promise<ReadonlyMap<number, Representation>> {
    const kept = ids.map((id) => this.#kept.get(id))
    const wanted = ids.map((id, index) => ({ id, vector: kept[index]?.vector }))
    const changed = await readProperties(this.#database, wanted)
    const found = new Map<number, Representation>()
    for (const [index, id] of ids.entries()) {
      const state = changed.get(id)
      const representation = changed.has(id) ? state && represent(state) : kept[index]?.representation
      if (representation) found.set(id, representation)
      if (state && representation) this.#kept.set(id, { vector: state.vector, representation })
    }
    return found
  }
}
