/**
 * Compares, twice a second and in each region, the lag that backends report with what has not arrived.
 *
 * The lag is asked for first and the database read afterwards: a write that is not in the database then had not been
 * merged when the lag was reported either. So an age found here is never too great, and a lag below it is wrong.
 */

import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { covers, type AcknowledgedWrite, type History, type Vector } from '../support/history.ts'
import type { LagSample } from './record.ts'
import type { Target } from './target.ts'

const intervalMs = 500
const askTimeoutMs = 1_000
const databaseBounds = { max: 1, connectionTimeoutMillis: 1_000, query_timeout: 1_500 }

const vectorsSql = 'SELECT id::integer, vector FROM properties WHERE id = ANY ($1::bigint[])'

type Watched = { readonly histories: readonly History[]; readonly properties: readonly number[] }

export class Sampler {
  readonly samples: LagSample[] = []
  readonly #target: Target
  /** Begin of the run on `performance.now()`. */
  readonly #origin: number
  readonly #watched: Watched
  readonly #loops: Promise<void>[]
  #stopping = false

  private constructor(target: Target, origin: number, watched: Watched) {
    this.#target = target
    this.#origin = origin
    this.#watched = watched
    this.#loops = Object.keys(target.databases).map((region) => this.#watch(region))
  }

  /** Watches the arrival of what these loads write to these properties, until `stop`. */
  static start(target: Target, origin: number, watched: Watched): Sampler {
    return new Sampler(target, origin, watched)
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#loops)
  }

  async #watch(region: string): Promise<void> {
    const connectionString = Object.entries(this.#target.databaseUrls).find(([name]) => name === region)?.[1]
    const database = new pg.Pool({ connectionString, ...databaseBounds })
    database.on('error', () => {}) // the server is killed under it
    const backends = this.#target.backends.filter((backend) => backend.region === region)
    const arrivals = new Arrivals(region, this.#watched.histories)
    try {
      while (!this.#stopping) {
        const began = performance.now()
        const lags = await Promise.all(backends.map(lagOf))
        const vectors = await this.#readVectors(database)
        const found = vectors && arrivals.missing(vectors, began)
        for (const [index, { name }] of backends.entries()) {
          this.samples.push({
            at: began - this.#origin,
            region,
            backend: name,
            lag: lags[index],
            age: found?.age,
            unmerged: found?.unmerged,
          })
        }
        await delay(Math.max(0, began + intervalMs - performance.now()))
      }
    } finally {
      await database.end()
    }
  }

  async #readVectors(database: pg.Pool): Promise<Map<number, Vector> | undefined> {
    try {
      const { rows } = await database.query<{ id: number; vector: Vector }>(vectorsSql, [
        this.#watched.properties,
      ])
      return new Map(rows.map(({ id, vector }) => [id, vector]))
    } catch {
      return undefined
    }
  }
}

async function lagOf({ url, region }: Target['backends'][number]): Promise<number | null | undefined> {
  try {
    const answer = await fetch(`${url}/${region}/replication-lag`, {
      signal: AbortSignal.timeout(askTimeoutMs),
    })
    const body = (await answer.json()) as { lag_seconds?: number | null }
    return answer.status === 200 ? body.lag_seconds : undefined
  } catch {
    return undefined
  }
}

/** The acknowledged writes of other regions that one region does not have yet. */
class Arrivals {
  readonly #region: string
  readonly #histories: readonly History[]
  readonly #read: number[]
  #missing: AcknowledgedWrite[] = []

  constructor(region: string, histories: readonly History[]) {
    this.#region = region
    this.#histories = histories
    this.#read = histories.map(() => 0)
  }

  /** `age` counts what was acknowledged before `at`, in seconds up to then. */
  missing(vectors: ReadonlyMap<number, Vector>, at: number): { unmerged: number; age: number } {
    for (const [index, { acknowledged }] of this.#histories.entries()) {
      for (const known of acknowledged.slice(this.#read[index])) {
        if (known.servedBy !== this.#region) this.#missing.push(known)
      }
      this.#read[index] = acknowledged.length
    }
    this.#missing = this.#missing.filter(({ write, dot }) => !covers(vectors.get(write.property) ?? {}, dot))
    const oldestAt = this.#missing.reduce((oldest, known) => Math.min(oldest, known.at), at)
    return { unmerged: this.#missing.length, age: (at - oldestAt) / 1_000 }
  }
}
