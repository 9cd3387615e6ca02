/** A real PostgreSQL for a test file, with as many prepared databases as it wants. */

import { mkdtemp, rm } from 'node:fs/promises'
import { after, before } from 'node:test'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { createPostgres, postgresVersions, type PostgresVersion } from '../../../local/parts/postgres.ts'
import { parseEvent, type MeridianEvent } from '../domain/event.ts'
import type { Incarnation } from '../domain/incarnation.ts'
import { parseFrame } from '../postgres/pgoutput.ts'
import { types } from '../postgres/pool.ts'
import { prepareDatabase, type PrepareOptions } from '../postgres/prepare-database.ts'
import { seedFields } from './arbitraries.ts'

export interface TestServer {
  /** Makes an empty database and returns its URL. */
  createDatabase(): Promise<string>
  stop(): Promise<void>
}

/** TEST_POSTGRES_VERSION, the major version of the servers that tests start. */
function versionFromEnvironment(): PostgresVersion {
  const wanted = process.env['TEST_POSTGRES_VERSION'] ?? '14'
  const version = postgresVersions.find((known) => known === wanted)
  if (!version) throw new Error(`TEST_POSTGRES_VERSION must be one of ${postgresVersions.join(', ')}`)
  return version
}

/** Starts a server, or uses the one that TEST_DATABASE_URL names (its role must be a superuser). */
export async function startTestServer(): Promise<TestServer> {
  const given = process.env['TEST_DATABASE_URL']
  const dir = await mkdtemp(join(tmpdir(), 'meridian-test-'))
  const part = given
    ? undefined
    : await createPostgres({
        name: 'postgres-test',
        dir,
        version: versionFromEnvironment(),
        env: { POSTGRES_FSYNC: 'off' },
      })
  await part?.start()
  const serverUrl = given ?? part?.url ?? ''
  const created: string[] = []
  const admin = async (work: (client: pg.Client) => Promise<void>): Promise<void> => {
    const client = new pg.Client({ connectionString: serverUrl })
    await client.connect()
    await work(client)
    await client.end()
  }
  return {
    async createDatabase() {
      const name = `test_${process.pid}_${Date.now()}_${created.length}`
      created.push(name)
      await admin(async (client) => {
        await client.query(`CREATE DATABASE ${name}`)
      })
      const url = new URL(serverUrl)
      url.pathname = `/${name}`
      return url.href
    },
    async stop() {
      if (part) await part.stop()
      else await admin((client) => dropDatabases(client, created))
      await rm(dir, { recursive: true, force: true })
    },
  }
}

async function dropDatabases(client: pg.Client, names: readonly string[]): Promise<void> {
  for (const name of names) {
    await client.query(
      'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1',
      [name],
    )
    await client.query(`DROP DATABASE ${name} WITH (FORCE)`)
  }
}

/** Ten equal seeds, ids 1 to 10. */
const testSeeds = JSON.stringify(
  Array.from({ length: 10 }, (_, index) => ({ id: index + 1, region_origin: 'us', ...seedFields })),
)

let actorCount = 0

export const prepareOptions = (databaseUrl: string, region = 'us'): PrepareOptions => ({
  databaseUrl,
  region,
  migrationsFolder: fileURLToPath(new URL('../../../seeds/migrations', import.meta.url)),
  readSeeds: () => Promise.resolve(testSeeds),
  newUnique: () => `t${process.pid.toString(36)}x${actorCount++}`,
})

export interface TestDatabase {
  readonly url: string
  readonly pool: pg.Pool
  readonly incarnation: Incarnation
  /** The events that were committed since the last call. */
  events(): Promise<MeridianEvent[]>
  close(): Promise<void>
}

/** A database with schema, seeds and slot. */
export async function prepareTestDatabase(server: TestServer, region = 'us'): Promise<TestDatabase> {
  const url = await server.createDatabase()
  const prepared = await prepareDatabase(prepareOptions(url, region))
  if (prepared.kind !== 'ready') throw new Error(prepared.detail)
  const pool = new pg.Pool({ connectionString: url, types, max: 30 })
  pool.on('error', () => {}) // the server may stop before the pool
  const { incarnation } = prepared
  return {
    url,
    pool,
    incarnation,
    async events() {
      const { rows } = await pool.query<{ data: Buffer }>(
        `SELECT data FROM pg_logical_slot_get_binary_changes($1, NULL, NULL,
           'proto_version', '1', 'publication_names', 'meridian', 'messages', 'true')`,
        [incarnation.slot],
      )
      const header = Buffer.alloc(25, 'w')
      return rows.flatMap(({ data }) => {
        const frame = parseFrame(Buffer.concat([header, data]))
        return frame.tag === 'message' ? [parseEvent(frame.content.toString())] : []
      })
    },
    close: () => pool.end(),
  }
}

/**
 * The one database of a test file, on a server of its own: there before the first test, gone after the last one. Call it
 * at the top of the file. Other `before` hooks of the file do not wait for it, tests and `beforeEach` do.
 */
export function useTestDatabase(): TestDatabase {
  const database = {} as TestDatabase
  let server: TestServer | undefined
  before(async () => {
    server = await startTestServer()
    Object.assign(database, await prepareTestDatabase(server))
  })
  after(async () => {
    await database.close?.()
    await server?.stop()
  })
  return database
}
