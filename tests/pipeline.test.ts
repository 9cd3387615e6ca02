/**
 * The pipeline on real parts: WAL, relay, Kafka, applier, with both ends killed in mid-stream.
 *
 * What is compared are whole rows of both databases. Writes are made in bulk by SQL that does what the write statement
 * does, row and message in one transaction, so that the pipeline and not the HTTP server is the limit.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Admin } from '@platformatic/kafka'
import type pg from 'pg'
import { Publisher } from '../backend/src/kafka/publisher.ts'
import { eventPrefixSql } from '../backend/src/postgres/message-prefix.ts'
import { waitUntil } from '../local/wait.ts'
import type { RegionName } from './support/system.ts'
import { useSystem } from './support/use-system.ts'

/** Distinct events of the long run. */
const eventCount = Number(process.env['PIPELINE_EVENTS'] ?? 200_000)
const eventsPerTransaction = 50
const topic = 'property-updates'

const system = useSystem({ env: { POSTGRES_FSYNC: 'off' } })

async function one<T extends pg.QueryResultRow>(
  region: RegionName,
  sql: string,
  values: unknown[] = [],
): Promise<T> {
  const { rows } = await system.databases[region].query<T>(sql, values)
  assert.ok(rows[0])
  return rows[0]
}

/** Rows as text in the order of ids, hashed: equal only if every byte is. */
const contentSql = `
  SELECT count(*)::integer AS count, md5(string_agg(p::text, E'\\n' ORDER BY id)) AS hash FROM properties AS p`
const content = (region: RegionName) => one<{ count: number; hash: string }>(region, contentSql)

async function assertEqualContent(): Promise<void> {
  const [first, second] = await Promise.all([content('us'), content('eu')])
  assert.deepEqual(first, second)
}

const writeDistinctSql = `
  WITH added AS (
    INSERT INTO properties (id, region_origin, price, bedrooms, bathrooms, title, description, status, version, vector, stamps)
    SELECT id, 'us', (id % 1000000) / 100.0, id % 7, 1.5, pg_current_xact_id()::text,
      repeat(md5(id::text), 1 + (id % 9)::integer), 'active', 2, jsonb_build_object(actor, 1),
      jsonb_build_object('title', jsonb_build_array(1, 1767225600000001 + id, actor, 1, 'r' || id))
    FROM incarnation, generate_series($1::bigint, $2::bigint) AS id
    RETURNING *)
  SELECT pg_logical_emit_message(true, ${eventPrefixSql('actor', 'id')}, json_build_object(
    'schema', 1, 'type', 'property', 'actor', actor,
    'property', json_build_object('id', id, 'region_origin', region_origin, 'price', price, 'bedrooms', bedrooms,
      'bathrooms', bathrooms, 'title', title, 'description', description, 'status', status),
    'vector', vector, 'stamps', stamps, 'conflicts', '[]'::json, 'claims', '[]'::json)::text)
  FROM added, incarnation`

/** Inserts properties with distinct content in many transactions; the title holds the transaction id. */
async function writeDistinct(firstId: number, count: number): Promise<void> {
  const end = firstId + count
  for (let id = firstId; id < end; id += eventsPerTransaction) {
    const values = [id, Math.min(id + eventsPerTransaction, end) - 1]
    await system.databases.us.query({ name: 'write-distinct', text: writeDistinctSql, values })
  }
}

/** Whether everything that the mark vouches for is there, in one snapshot of the European database. */
async function assertWatermarkHolds(): Promise<boolean> {
  const { xmin, merged } = await one<{ xmin: string | null; merged: number }>(
    'eu',
    `WITH mark AS (
       SELECT min(m.snapshot_xmin::text::numeric) AS xmin FROM sources AS s JOIN marks AS m USING (actor)
       GROUP BY s.partitions HAVING count(*) = s.partitions)
     SELECT mark.xmin::text, (SELECT count(*)::integer FROM properties WHERE id > 1000 AND title::numeric < mark.xmin) AS merged
     FROM mark`,
  )
  const { written } = await one<{ written: number }>(
    'us',
    'SELECT count(*)::integer AS written FROM properties WHERE id > 1000 AND title::numeric < $1',
    [xmin],
  )
  assert.equal(merged, written, `the watermark vouches for transactions below ${xmin}`)
  return merged > 0
}

test(`${eventCount} distinct events arrive byte for byte, relay and applier killed in mid-stream`, async () => {
  const written = writeDistinct(1001, eventCount)
  const merged = async () => (await content('eu')).count - 1000
  let held = 0
  for (const [share, region] of [
    [0.1, 'us'],
    [0.3, 'eu'],
    [0.5, 'us'],
    [0.6, 'eu'],
  ] as const) {
    await waitUntil(async () => (await merged()) >= share * eventCount, {
      what: `${share * 100} % to be merged`,
      timeoutMs: 60_000,
    })
    if (await assertWatermarkHolds()) held++
    await system.backend(region).kill()
    await system.backend(region).start()
  }
  await written
  await waitUntil(async () => (await merged()) === eventCount, {
    what: 'all to be merged',
    timeoutMs: 90_000,
  })
  assert.ok(held > 0, 'a watermark was seen in mid-stream')
  await assertWatermarkHolds()
  await assertEqualContent()
  const { quarantined } = await one<{ quarantined: number }>(
    'eu',
    'SELECT count(*)::integer AS quarantined FROM quarantine',
  )
  assert.equal(quarantined, 0)
})

test('an idle slot keeps no WAL', async () => {
  await system.databases.us.query('SELECT pg_switch_wal()')
  const confirmed = async () =>
    one<{ behind: number }>(
      'us',
      'SELECT (pg_current_wal_lsn() - confirmed_flush_lsn)::integer AS behind FROM pg_replication_slots',
    )
  await waitUntil(async () => (await confirmed()).behind < 100_000, {
    what: 'the slot to follow',
    timeoutMs: 10_000,
  })
})

test('a record that is no event is quarantined and blocks nothing', async () => {
  const publisher = new Publisher({ brokers: system.stack.kafka.brokers, topic })
  const poison = ['not json', '{"schema":99}', '']
  await publisher.send(
    poison.map((text) => ({ partition: 0, key: Buffer.from('1'), value: Buffer.from(text) })),
  )
  await publisher.close()
  await system.databases.us.query(
    `SELECT pg_logical_emit_message(true, 'property-updates', '{"type":"property"}')`,
  )
  for (const pool of Object.values(system.databases)) {
    await waitUntil(
      async () => {
        const { rows } = await pool.query<{ payload: Buffer }>('SELECT payload FROM quarantine')
        return rows.length === poison.length + 1
      },
      { what: 'the quarantine', timeoutMs: 10_000 },
    )
  }
  await writeDistinct(1_000_001, 10)
  await waitUntil(async () => (await content('eu')).hash === (await content('us')).hash, {
    what: 'later events to be merged',
    timeoutMs: 10_000,
  })
})

test('a topic that is made anew is read from its start, and the lag says gap', async () => {
  const lag = async (region: RegionName) => {
    const response = await fetch(`${system.backend(region).url}/replication-lag`)
    return (await response.json()) as {
      lag_seconds: number | null
      sources: Record<string, { gap: string | null }>
    }
  }
  assert.equal((await lag('eu')).sources['us']?.gap, null)
  const admin = new Admin({ clientId: 'test', bootstrapBrokers: [system.stack.kafka.brokers] })
  await admin.deleteTopics({ topics: [topic] })
  await admin.close()
  await waitUntil(async () => (await lag('eu')).sources['us']?.gap !== null, {
    what: 'the gap',
    timeoutMs: 30_000,
  })
  await writeDistinct(2_000_001, 10)
  await waitUntil(
    async () =>
      (await one<{ n: number }>('eu', 'SELECT count(*)::integer AS n FROM properties WHERE id > 2000000'))
        .n === 10,
    {
      what: 'events of the new topic',
      timeoutMs: 30_000,
    },
  )
  await waitUntil(async () => ((await lag('eu')).lag_seconds ?? 0) > 1, {
    what: 'a frozen watermark',
    timeoutMs: 10_000,
  })
})

test('a region whose slot is lost says so and accepts no writes', async () => {
  const ready = async () => {
    const response = await fetch(`${system.backend('us').url}/ready`)
    return { status: response.status, body: (await response.json()) as { code?: string } }
  }
  assert.equal((await ready()).status, 200)
  await waitUntil(
    async () => {
      const { rows } = await system.databases.us.query<{ dropped: boolean }>(
        `SELECT slot_name, active_pid, pg_terminate_backend(active_pid) AS dropped FROM pg_replication_slots WHERE active`,
      )
      if (rows.length > 0) return false
      await system.databases.us.query('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots')
      return true
    },
    { what: 'the slot to be dropped', timeoutMs: 10_000 },
  )
  await waitUntil(async () => (await ready()).status === 503, { what: 'slot_lost', timeoutMs: 20_000 })
  assert.equal((await ready()).body.code, 'slot_lost')
  const write = await fetch(`${system.backend('us').url}/us/properties/1`, {
    method: 'PUT',
    headers: { 'Content-Type': 'application/json', 'X-Request-ID': 'after-the-slot', 'If-Match': '*' },
    body: '{"title": "Would never leave the region"}',
  })
  assert.deepEqual([write.status, ((await write.json()) as { code?: string }).code], [503, 'slot_lost'])
})
