/**
 * Makes a database ready to accept writes: schema, seeds, incarnation, publication, slot, in this order.
 *
 * Invariant: no write is accepted before the slot exists, and no slot is made before the publication: a slot that is
 * made later misses earlier writes, and a publication made after the slot makes decoding fail for ever (chapter 49).
 * Backends of one region may start together: a session lock lets one of them work at a time, and every step can be
 * repeated after a crash. One that freezes loses its session, and no step waits for long for a lock on a table: all that
 * is asked of the region would queue behind it.
 */

import type pg from 'pg'
import { runner } from 'node-pg-migrate'
import { z } from 'zod'
import { fieldNames, fieldsSchema, fieldTable } from '../domain/fields.ts'
import { judgeIncarnation, type KnownIncarnation, type Prepared } from '../domain/incarnation.ts'
import { connect, endStatementsWithClient, sessionOptions } from './pool.ts'

/** The empty publication that `pgoutput` asks for; messages need no table in it. */
export const publicationName = 'meridian'
/** Key of the session lock of everybody who prepares a database. */
const prepareLockKey = 7_140_001
const sessionSettings = { idle_session_timeout: 5000, idle_in_transaction_session_timeout: 5000 }
/** Longest wait for the lock of a table, ms; the start is tried again. */
const lockTimeoutMs = 2000

export interface PrepareOptions {
  readonly databaseUrl: string
  readonly region: string
  readonly migrationsFolder: string
  /** JSON text of the seed rows, read only when an empty database is seeded. */
  readonly readSeeds: () => Promise<string>
  /** The part of a new actor's name that makes it unique: lower-case letters and digits. */
  readonly newUnique: () => string
}

/** @throws if the database cannot be reached or a migration fails; everything may be tried again. */
export async function prepareDatabase(options: PrepareOptions): Promise<Prepared> {
  // A lost connection also rejects the query under way.
  const { client } = await connect(options.databaseUrl, {
    application_name: 'meridian-prepare',
    options: sessionOptions(sessionSettings),
  })
  try {
    await endStatementsWithClient(client)
    await client.query('SELECT pg_advisory_lock($1)', [prepareLockKey])
    await client.query(`SET lock_timeout = ${lockTimeoutMs}`)
    await runner({
      dbClient: client,
      dir: options.migrationsFolder,
      direction: 'up',
      migrationsTable: 'schema_migrations',
      noLock: true, // ours is held, and it waits instead of failing
      log: () => {},
    })
    // A slot waits for all transactions that run, and nothing queues behind it.
    await client.query('RESET lock_timeout')
    if (!(await readIncarnation(client))) await beginIncarnation(client, options)
    await ensureSlot(client)
    return await verifyIncarnation(client, options.region)
  } finally {
    await client.end()
  }
}

const identitySql = `
  SELECT system_identifier::text AS system_identifier, left(pg_walfile_name(pg_current_wal_lsn()), 8) AS timeline
  FROM pg_control_system()`

async function readIncarnation(database: pg.Pool | pg.ClientBase): Promise<KnownIncarnation | undefined> {
  const { rows } = await database.query<KnownIncarnation>(`
    SELECT i.actor, i.region, i.slot, i.since, i.refused,
      i.system_identifier = d.system_identifier AS same_system, i.timeline = d.timeline AS same_timeline,
      (SELECT wal_status FROM pg_replication_slots WHERE slot_name = i.slot) AS wal_status
    FROM incarnation AS i, (${identitySql}) AS d`)
  return rows[0]
}

/**
 * Whether this database may accept writes as the actor that it holds.
 *
 * @throws if it cannot be reached, or was never prepared.
 */
export async function verifyIncarnation(
  database: pg.Pool | pg.ClientBase,
  region: string,
): Promise<Prepared> {
  const known = await readIncarnation(database)
  if (!known) throw new Error('the database has no incarnation')
  return judgeIncarnation(known, region)
}

const seedsSchema = z.array(
  z.object({ id: z.int().min(1), region_origin: z.string() }).extend(fieldsSchema.shape),
)

/** Seeds an empty database and names its actor, in one transaction. */
async function beginIncarnation(client: pg.Client, options: PrepareOptions): Promise<void> {
  const unique = options.newUnique()
  const columns = fieldNames.map((name) => `${name} ${fieldTable[name].sqlType}`)
  const seeds = JSON.stringify(seedsSchema.parse(JSON.parse(await options.readSeeds())))
  await client.query('BEGIN')
  await client.query(
    `INSERT INTO properties (id, region_origin, ${fieldNames.join(', ')})
     SELECT id, region_origin, ${fieldNames.join(', ')}
     FROM json_to_recordset($1::json) AS seed (id bigint, region_origin text, ${columns.join(', ')})`,
    [seeds],
  )
  await client.query(
    `INSERT INTO incarnation (actor, region, slot, system_identifier, timeline)
     SELECT $1, $2, $3, d.system_identifier, d.timeline FROM (${identitySql}) AS d`,
    [
      `${options.region}.${unique}`,
      options.region,
      `meridian_${options.region.replaceAll('-', '_')}_${unique}`,
    ],
  )
  await client.query('COMMIT')
}

/**
 * Makes the publication, then the slot, for an incarnation that has none yet. A crash between the slot and `since`
 * leaves a slot from before the first write, which serves.
 */
async function ensureSlot(client: pg.Client): Promise<void> {
  const known = await readIncarnation(client)
  if (!known || known.since !== null) return
  const { rows } = await client.query('SELECT FROM pg_publication WHERE pubname = $1', [publicationName])
  if (rows.length === 0) await client.query(`CREATE PUBLICATION ${publicationName}`)
  if (known.wal_status === null) {
    await client.query(`SELECT pg_create_logical_replication_slot($1, 'pgoutput')`, [known.slot])
  }
  await client.query(
    `UPDATE incarnation SET since = (
       SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = slot)`,
  )
}
