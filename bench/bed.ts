/**
 * The system under measurement, part by part: on its own folder and ports, with the settings that are shipped.
 *
 * At first a bed is one region alone: its PostgreSQL and one backend, whose relay finds no Kafka and keeps its events in
 * the WAL. That is how writes are measured against PostgreSQL, which does not replicate meanwhile either. The rest is
 * started when a figure, or the check at the end, asks for replication.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { createNginx } from '../local/parts/nginx.ts'
import type { Part } from '../local/parts/part.ts'
import { createStack, type Stack } from '../local/parts/stack.ts'
import { waitUntil } from '../local/wait.ts'

export const regionNames = ['us', 'eu'] as const
export type RegionName = (typeof regionNames)[number]

export type BedOptions = {
  /** Settings of databases and backends beside those that are shipped. */
  readonly env?: Readonly<Record<string, string>>
  /** What PostgreSQL needs to be restarted for. */
  readonly postgresSettings?: Readonly<Record<string, string>>
  /** Properties in all, the seeds included. */
  readonly properties?: number
}

export type Backend = Part & { readonly url: string }

/**
 * WAL that the slot may hold back. The shipped bound protects the disk during an outage of Kafka; a bed without Kafka
 * that writes as fast as it can would come near it.
 */
const slotWalMax = '32GB'
const backendsMax = 4
const seeds = 1_000
/** All that was written before replication started comes before its first heartbeat: up to two million events. */
const replicationTimeoutMs = 600_000
const statementTimeoutMs = 300_000

export class Bed {
  readonly stack: Stack
  readonly dir: string
  /** In front of one backend of each region. */
  readonly nginx: Part
  /** Writes that were answered with 429 or 503 so far. */
  overloads = 0
  /** Whether it has served writes for long enough. */
  isWarm = false
  readonly #options: BedOptions
  readonly #pools = new Map<RegionName, pg.Pool>()
  #actor: string | undefined

  private constructor(dir: string, stack: Stack, nginx: Part, options: BedOptions) {
    this.dir = dir
    this.stack = stack
    this.nginx = nginx
    this.#options = options
  }

  /** Resolves when the first region serves. */
  static async start(options: BedOptions = {}): Promise<Bed> {
    const dir = await mkdtemp(join(tmpdir(), 'meridian-bench-'))
    const env = { POSTGRES_MAX_SLOT_WAL_KEEP_SIZE: slotWalMax, ...options.env }
    const stack = await createStack({ dir, regions: [...regionNames], backendsPerRegion: backendsMax, env })
    const upstream = (region: RegionName): string[] => [`127.0.0.1:${stack.backends[region]?.[0]?.port ?? 0}`]
    const upstreams = { us: upstream('us'), eu: upstream('eu') }
    const nginx = await createNginx({ name: 'edge', dir: join(dir, 'edge'), upstreams })
    const bed = new Bed(dir, stack, nginx, options)
    try {
      await bed.#startRegion('us')
    } catch (error) {
      await bed.stop()
      throw error
    }
    return bed
  }

  database(region: RegionName): pg.Pool {
    const known = this.#pools.get(region)
    if (known) return known
    const connectionString = this.databaseUrl(region)
    const pool = new pg.Pool({ connectionString, max: 2, statement_timeout: statementTimeoutMs })
    pool.on('error', () => {}) // figures restart the server under it
    this.#pools.set(region, pool)
    return pool
  }

  databaseUrl(region: RegionName): string {
    return found(this.stack.postgres[region]).url
  }

  backend(region: RegionName, index = 0): Backend {
    return found(this.stack.backends[region]?.[index])
  }

  /** Address of NGINX in front of both regions. */
  get edgeUrl(): string {
    return `http://127.0.0.1:${this.nginx.port}`
  }

  /** Name under which the first region's writes are counted. */
  async actor(): Promise<string> {
    if (this.#actor === undefined) {
      const { rows } = await this.database('us').query<{ actor: string }>('SELECT actor FROM incarnation')
      this.#actor = found(rows[0]).actor
    }
    return this.#actor
  }

  /** Starts what is missing of Kafka, the other region and NGINX; resolves when each region has heard of the other. */
  async startReplication(): Promise<void> {
    const { kafka } = this.stack
    await Promise.all([
      startUnlessRunning(kafka),
      this.#startRegion('eu'),
      startUnlessRunning(this.nginx),
      startUnlessRunning(this.backend('us')),
    ])
    this.resumeReplication()
    const isKnown = async (region: RegionName): Promise<boolean> => {
      const answer = await fetch(`${this.backend(region).url}/${region}/replication-lag`)
      const body = (await answer.json()) as { lag_seconds?: number | null }
      return typeof body.lag_seconds === 'number'
    }
    await waitUntil(async () => (await Promise.all(regionNames.map(isKnown))).every(Boolean), {
      timeoutMs: replicationTimeoutMs,
      what: 'each region to hear of the other',
    })
  }

  /** Freezes Kafka and the other region's backend: no event leaves this region, and nothing but its writes costs time. */
  pauseReplication(): void {
    this.stack.kafka.pause()
    this.backend('eu').pause()
  }

  resumeReplication(): void {
    this.stack.kafka.resume()
    this.backend('eu').resume()
  }

  async stop(): Promise<void> {
    this.resumeReplication()
    await Promise.all([...this.#pools.values()].map((pool) => pool.end()))
    await this.nginx.stop()
    // In their own time: a backend under a profiler has something to write.
    await Promise.all(
      Object.values(this.stack.backends)
        .flat()
        .map((backend) => backend.stop()),
    )
    await this.stack.stop()
    await rm(this.dir, { recursive: true, force: true })
  }

  async #startRegion(region: RegionName): Promise<void> {
    const postgres = found(this.stack.postgres[region])
    if (postgres.pid === undefined) {
      await postgres.start()
      await this.#configure(region, postgres)
    }
    const backend = this.backend(region)
    if (backend.pid !== undefined) return
    await backend.start()
    await addProperties(this.database(region), this.#options.properties ?? seeds)
  }

  async #configure(region: RegionName, postgres: Part): Promise<void> {
    const settings = Object.entries(this.#options.postgresSettings ?? {})
    if (settings.length === 0) return
    for (const [name, value] of settings) {
      await this.database(region).query(`ALTER SYSTEM SET ${name} = ${value}`)
    }
    await postgres.stop()
    await postgres.start()
  }
}

/** Fills up to `count` properties, of the same size and the same in every region as the seeds, with ids that follow. */
export async function addProperties(database: pg.Pool, count: number): Promise<void> {
  const { rows } = await database.query<{ count: number }>('SELECT count(*)::integer FROM properties')
  const missing = count - (rows[0]?.count ?? 0)
  if (missing <= 0) return
  await database.query(
    `INSERT INTO properties
     SELECT (jsonb_populate_record(p, jsonb_build_object('id', ${seeds} + number))).*
     FROM generate_series(1, ${missing}) AS number JOIN properties AS p ON p.id = 1 + number % ${seeds}`,
  )
  await database.query('VACUUM ANALYZE properties')
}

async function startUnlessRunning(part: Part): Promise<void> {
  if (part.pid === undefined) await part.start()
}

function found<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('there is no such part')
  return value
}
