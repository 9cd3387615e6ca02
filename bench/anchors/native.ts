/**
 * PostgreSQL's own logical replication of the same tables between the same two servers, in databases of their own: the
 * bound for a region that catches up.
 */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { prepareDatabase } from '../../backend/src/postgres/prepare-database.ts'
import { projectRoot } from '../../local/paths.ts'
import { addProperties, type Bed, type RegionName } from '../bed.ts'

const name = 'native'
const tables = ['properties', 'claims']

export type Native = {
  readonly source: pg.Pool
  readonly target: pg.Pool
  readonly sourceUrl: string
  /** Lets the target take what waits. */
  readonly resume: () => Promise<void>
  readonly pause: () => Promise<void>
  readonly stop: () => Promise<void>
}

/** Both databases with the same `properties` properties, and a subscription that is paused. */
export async function createNative(bed: Bed, properties: number): Promise<Native> {
  const [sourceUrl, targetUrl] = [await prepare(bed, 'us', properties), await prepare(bed, 'eu', properties)]
  const [source, target] = [sourceUrl, targetUrl].map(
    (connectionString) => new pg.Pool({ connectionString, max: 1 }),
  ) as [pg.Pool, pg.Pool]
  await source.query(`CREATE PUBLICATION ${name} FOR TABLE ${tables.join(', ')}`)
  await target.query(
    `CREATE SUBSCRIPTION ${name} CONNECTION '${sourceUrl}' PUBLICATION ${name}
     WITH (copy_data = false, enabled = false, create_slot = true)`,
  )
  return {
    source,
    target,
    sourceUrl,
    resume: async () => void (await target.query(`ALTER SUBSCRIPTION ${name} ENABLE`)),
    pause: async () => void (await target.query(`ALTER SUBSCRIPTION ${name} DISABLE`)),
    async stop() {
      await target.query(`DROP SUBSCRIPTION ${name}`)
      await Promise.all([source.end(), target.end()])
    },
  }
}

/** A database as the backend makes it, but without the slot that nobody would read. */
async function prepare(bed: Bed, region: RegionName, properties: number): Promise<string> {
  await bed.database(region).query(`CREATE DATABASE ${name}`)
  const url = new URL(bed.databaseUrl(region))
  url.pathname = `/${name}`
  const databaseUrl = url.href
  const seeds = join(projectRoot, 'seeds')
  await prepareDatabase({
    databaseUrl,
    region,
    migrationsFolder: join(seeds, 'migrations'),
    readSeeds: () => readFile(join(seeds, 'properties.json'), 'utf8'),
    newUnique: () => name,
  })
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 1 })
  try {
    await pool.query('SELECT pg_drop_replication_slot(slot) FROM incarnation')
    await addProperties(pool, properties)
  } finally {
    await pool.end()
  }
  return databaseUrl
}
