import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { represent } from '../domain/property.ts'
import { useTestDatabase } from '../testing/database.ts'
import { encodeStates, mergeStates } from './merge-states.ts'
import { createPool } from './pool.ts'
import { readProperties } from './read-properties.ts'
import { Representations } from './representations.ts'
import { writeBatch } from './write-batch.ts'

/** Few, so that reads, writes and merges meet; the last one is in no table. */
const ids = [1, 2, 3, 9_999_999]
const runs = 60

const database = useTestDatabase()
let count = 0

const stored = async (id: number) => (await readProperties(database.pool, [{ id }])).get(id)

/** What may happen to a row behind the back of those who read it. */
const happenings = {
  async write(id: number): Promise<void> {
    const request = { requestId: `r${count}`, fingerprint: 'f', guard: { ifMatch: '*' as const } }
    await writeBatch(database.pool, database.incarnation.actor, [
      { id, ...request, changes: { price: count } },
    ])
  },
  async delete(id: number): Promise<void> {
    const request = { requestId: `r${count}`, fingerprint: 'f', guard: { ifMatch: '*' as const } }
    await writeBatch(database.pool, database.incarnation.actor, [
      { id, ...request, changes: { deleted: count % 2 === 0 } },
    ])
  },
  /** A state of another region that has seen this one's; its version is the one of a write here. */
  async merge(id: number): Promise<void> {
    const state = await stored(id)
    if (!state) return
    const vector = { ...state.vector, 'eu.b': (state.vector['eu.b'] ?? 0) + 1 }
    const client = await database.pool.connect()
    const fields = { ...state.fields, title: `merged ${count}` }
    await mergeStates(client, encodeStates([{ ...state, vector, fields }]))
    client.release()
  },
  /** The row of another life of the database: the version that was known, with other contents. */
  async replace(id: number): Promise<void> {
    const vector = JSON.stringify({ [`us.other${count}`]: 1 })
    await database.pool.query(`UPDATE properties SET vector = $2, version = 2, price = $3 WHERE id = $1`, [
      id,
      vector,
      count,
    ])
  },
  async remove(id: number): Promise<void> {
    await database.pool.query('DELETE FROM properties WHERE id = $1', [id])
  },
}

test('a read is answered as the row is, whatever has happened to it since the last one', async () => {
  const happening = fc.record({
    what: fc.constantFrom(...Object.values(happenings)),
    id: fc.constantFrom(...ids),
    read: fc.subarray(ids, { minLength: 1 }),
  })
  const { rows: seeds } = await database.pool.query('SELECT * FROM properties WHERE id = ANY ($1)', [ids])
  await fc.assert(
    fc.asyncProperty(fc.array(happening, { maxLength: 12 }), async (history) => {
      await database.pool.query('DELETE FROM properties WHERE id = ANY ($1)', [ids])
      await database.pool.query(
        'INSERT INTO properties SELECT * FROM jsonb_populate_recordset(NULL::properties, $1)',
        [JSON.stringify(seeds)],
      )
      const representations = new Representations(database.pool)
      for (const { what, id, read } of history) {
        count++
        await what(id)
        const found = await representations.read(read)
        for (const asked of read) {
          const state = await stored(asked)
          assert.deepEqual(found.get(asked), state && represent(state))
        }
      }
    }),
    { numRuns: runs },
  )
})

test('a state that has not changed is neither sent nor serialised again', async () => {
  const representations = new Representations(database.pool)
  const [first, second] = [await representations.read([10, 11]), await representations.read([11, 10])]
  assert.ok(first.get(10))
  assert.equal(second.get(10), first.get(10))
  assert.equal(second.get(11), first.get(11))
  const state = await stored(10)
  assert.ok(state)
  assert.deepEqual(await readProperties(database.pool, [{ id: 10, vector: state.vector }]), new Map())
})

test('nothing is kept of a database whose connections have broken: it may have been put back', async () => {
  const pool = createPool(database.url, { max: 1, onError: () => {} })
  const representations = new Representations(pool)
  await representations.read([10])
  const removed = new Promise((resolve) => pool.once('remove', resolve))
  await database.pool.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'meridian-http'`,
  )
  await removed
  await database.pool.query(`UPDATE properties SET title = 'as it was' WHERE id = 10`)
  assert.equal((await representations.read([10])).get(10)?.view.title, 'as it was')
  await pool.end()
})
