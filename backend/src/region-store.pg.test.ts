import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { UnavailableError, type PropertyStore } from './http/store.ts'
import { createPool } from './postgres/pool.ts'
import { requestsUnderWayMax } from './batching/admission.ts'
import { createRegionStore } from './region-store.ts'
import { useTestDatabase } from './testing/database.ts'

const connections = 2
/** Above the 650 ms within which every answer is due, on a machine that is busy. */
const answerMaxMs = 900

const database = useTestDatabase()
let requestCount = 0
const writeTo = (store: PropertyStore, id: number) =>
  store.write({
    id,
    requestId: `request-${requestCount++}`,
    fingerprint: 'f',
    guard: { ifMatch: '*' },
    changes: { price: 1 },
  })
const codeOf = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work
    return 'ok'
  } catch (error) {
    assert.ok(error instanceof UnavailableError)
    return error.code
  }
}

const openStore = (t: TestContext): PropertyStore => {
  const pool = createPool(database.url, { max: connections, onError: () => {} })
  t.after(() => pool.end())
  return createRegionStore({
    pool,
    actor: () => database.incarnation.actor,
    now: () => performance.now(),
    observeBatch: () => {},
  })
}

test('requests beyond the bound are refused at once with 429 while the database answers', async (t) => {
  const store = openStore(t)
  const answers = await Promise.all(
    Array.from({ length: requestsUnderWayMax + 5 }, () => codeOf(store.read(1))),
  )
  assert.equal(answers.filter((code) => code === 'ok').length, requestsUnderWayMax)
  assert.equal(answers.filter((code) => code === 'overloaded').length, 5)
})

test('while a row is locked its writers are answered 503 in time and others are served, then all is well', async (t) => {
  const store = openStore(t)
  const blocker = await database.pool.connect()
  await blocker.query('BEGIN')
  await blocker.query('SELECT FROM properties WHERE id = 1 FOR UPDATE')
  const startedAt = performance.now()
  const held = Array.from({ length: 20 }, () => codeOf(writeTo(store, 1)))
  const others = Array.from({ length: 9 }, (_, n) => codeOf(writeTo(store, n + 2)))
  assert.deepEqual(new Set(await Promise.all(others)), new Set(['ok']))
  assert.deepEqual(new Set(await Promise.all(held)), new Set(['database_unavailable']))
  assert.ok(performance.now() - startedAt < answerMaxMs)
  await blocker.query('ROLLBACK')
  blocker.release()
  assert.equal(await codeOf(writeTo(store, 1)), 'ok')
  assert.equal(await codeOf(store.read(1)), 'ok')
})

test('a database that answers nothing is unavailable, not overloaded', async (t) => {
  const store = openStore(t)
  const blocker = await database.pool.connect()
  await blocker.query('BEGIN')
  await blocker.query('LOCK TABLE properties')
  const waiting = Array.from({ length: requestsUnderWayMax }, (_, n) => codeOf(store.read(n + 1)))
  assert.equal(await codeOf(store.read(1)), 'overloaded')
  const first = await Promise.race(waiting)
  assert.equal(first, 'database_unavailable')
  const more = Array.from({ length: requestsUnderWayMax + 1 }, (_, n) => codeOf(store.read(n + 1)))
  assert.deepEqual(new Set(await Promise.all(more)), new Set(['database_unavailable']))
  await Promise.all(waiting)
  await blocker.query('ROLLBACK')
  blocker.release()
  assert.equal(await codeOf(store.read(1)), 'ok')
})
