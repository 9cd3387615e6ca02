import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { prepareOptions, startTestServer, type TestServer } from '../testing/database.ts'
import type { Prepared } from '../domain/incarnation.ts'
import { prepareDatabase } from './prepare-database.ts'

let server: TestServer

before(async () => {
  server = await startTestServer()
})
after(() => server?.stop())

async function inDatabase<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

const run = (url: string, sql: string): Promise<void> =>
  inDatabase(url, async (client) => {
    await client.query(sql)
  })

function incarnationOf(prepared: Prepared) {
  assert.equal(prepared.kind, 'ready')
  return prepared.kind === 'ready' ? prepared.incarnation : assert.fail()
}

test('a deletion that arrived before its column is kept in it', async () => {
  const url = await server.createDatabase()
  await prepareDatabase(prepareOptions(url))
  await run(
    url,
    `ALTER TABLE properties DROP COLUMN deleted;
     DELETE FROM schema_migrations WHERE name >= '0002_deleted';
     UPDATE properties SET extra = '{"deleted": true, "garden": 1}' WHERE id = 2;
     UPDATE properties SET extra = '{"deleted": false}' WHERE id = 3`,
  )
  incarnationOf(await prepareDatabase(prepareOptions(url)))
  const rows = await inDatabase(url, async (client) => {
    const answer = await client.query('SELECT deleted, extra FROM properties WHERE id < 4 ORDER BY id')
    return answer.rows as object[]
  })
  assert.deepEqual(rows, [
    { deleted: false, extra: {} },
    { deleted: true, extra: { garden: 1 } },
    { deleted: false, extra: {} },
  ])
})

test('a migration that meets a long transaction gives up instead of blocking the region, and is tried again', async () => {
  const url = await server.createDatabase()
  await prepareDatabase(prepareOptions(url))
  await run(
    url,
    `ALTER TABLE properties DROP COLUMN deleted; DELETE FROM schema_migrations WHERE name >= '0002_deleted'`,
  )
  await inDatabase(url, async (client) => {
    await client.query('BEGIN')
    await client.query('SELECT FROM properties')
    await assert.rejects(prepareDatabase(prepareOptions(url)), { code: '55P03' })
    await client.query('COMMIT')
  })
  incarnationOf(await prepareDatabase(prepareOptions(url)))
})

test('an empty database is migrated, seeded and given an actor and a slot, once', async () => {
  const url = await server.createDatabase()
  const first = incarnationOf(await prepareDatabase(prepareOptions(url)))
  assert.match(first.actor, /^us\.[a-z0-9]+$/)
  await run(url, 'DELETE FROM properties WHERE id = 1')
  const second = incarnationOf(await prepareDatabase(prepareOptions(url)))
  assert.deepEqual(second, first)
  const counts = await inDatabase(url, async (client) => {
    const { rows } = await client.query(
      `SELECT (SELECT count(*)::integer FROM properties) AS properties,
         (SELECT count(*)::integer FROM pg_replication_slots WHERE database = current_database()) AS slots,
         (SELECT sum(version)::integer FROM properties) AS versions`,
    )
    return rows[0] as object
  })
  assert.deepEqual(counts, { properties: 9, slots: 1, versions: 9 })
})

test('backends that start together prepare one incarnation', async () => {
  const url = await server.createDatabase()
  const prepared = await Promise.all(Array.from({ length: 4 }, () => prepareDatabase(prepareOptions(url))))
  assert.equal(new Set(prepared.map((each) => incarnationOf(each).actor)).size, 1)
})

test('a crash after the slot was made, or before, is made good by the next start', async () => {
  const url = await server.createDatabase()
  const { actor, slot } = incarnationOf(await prepareDatabase(prepareOptions(url)))
  await run(url, 'UPDATE incarnation SET since = NULL')
  const afterSlot = incarnationOf(await prepareDatabase(prepareOptions(url)))
  assert.equal(afterSlot.actor, actor)
  await run(url, `UPDATE incarnation SET since = NULL; SELECT pg_drop_replication_slot('${slot}')`)
  const beforeSlot = incarnationOf(await prepareDatabase(prepareOptions(url)))
  assert.equal(beforeSlot.slot, slot)
})

for (const [what, sql] of [
  ['copied to another system', `UPDATE incarnation SET system_identifier = '1'`],
  ['restored or promoted', `UPDATE incarnation SET timeline = '00000009'`],
  ['another region’s', `UPDATE incarnation SET region = 'eu'`],
] as const) {
  test(`a database that is ${what} never becomes ready`, async () => {
    const url = await server.createDatabase()
    await prepareDatabase(prepareOptions(url))
    await run(url, sql)
    assert.equal((await prepareDatabase(prepareOptions(url))).kind, 'incarnation_mismatch')
  })
}

test('a lost slot is not replaced in silence', async () => {
  const url = await server.createDatabase()
  const { slot } = incarnationOf(await prepareDatabase(prepareOptions(url)))
  await run(url, `SELECT pg_drop_replication_slot('${slot}')`)
  assert.equal((await prepareDatabase(prepareOptions(url))).kind, 'slot_lost')
})
