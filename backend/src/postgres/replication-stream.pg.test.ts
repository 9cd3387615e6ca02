import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { RelayQueue } from '../replication/relay-queue.ts'
import { waitUntil } from '../../../local/wait.ts'
import { useTestDatabase } from '../testing/database.ts'
import { emitEvents } from './emit-events.ts'
import { beginRun, emitHeartbeat } from './emit-heartbeat.ts'
import { ReplicationStream, SlotBusyError } from './replication-stream.ts'

const database = useTestDatabase()

let current: ReplicationStream | undefined
afterEach(() => current?.close())

const open = async () => {
  const queue = new RelayQueue(1)
  const stream = await ReplicationStream.open(database.url, database.incarnation.slot, queue, Date.now)
  current = stream
  return { queue, stream }
}
const event = (id: number): string => JSON.stringify({ type: 'property', property: { id } })
async function emit(...ids: number[]): Promise<void> {
  const client = await database.pool.connect()
  await emitEvents(
    client,
    ids.map((id) => ({ actor: 'us.a', key: String(id), text: event(id) })),
  )
  client.release()
}
async function takeEvents(queue: RelayQueue, count: number, acknowledge: boolean): Promise<string[]> {
  const taken: string[] = []
  while (taken.length < count) {
    const batch = await queue.take()
    taken.push(...batch.records.map((record) => record.value.toString()))
    if (acknowledge) queue.acknowledge(batch)
  }
  return taken
}
const isFree = async (): Promise<boolean> => {
  const { rows } = await database.pool.query<{ active: boolean }>(
    'SELECT active FROM pg_replication_slots WHERE slot_name = $1',
    [database.incarnation.slot],
  )
  return rows[0]?.active === false
}
const untilFree = () => waitUntil(isFree, { what: 'the slot to be free', timeoutMs: 5000 })

test('what was received but not confirmed is sent again; what was confirmed is not', async () => {
  await emit(1)
  await emit(2)
  const first = await open()
  assert.deepEqual(await takeEvents(first.queue, 2, false), [event(1), event(2)])
  first.stream.close()
  await untilFree()
  const second = await open()
  assert.deepEqual(await takeEvents(second.queue, 2, true), [event(1), event(2)])
  second.stream.close()
  await untilFree()
  await emit(3)
  const third = await open()
  assert.deepEqual(await takeEvents(third.queue, 1, true), [event(3)])
  third.stream.close()
  await untilFree()
})

test('a slot has one reader; the next one finds it busy until the first has gone', async () => {
  const first = await open()
  await assert.rejects(open(), SlotBusyError)
  first.stream.close()
  await untilFree()
  const second = await open()
  second.stream.close()
  await untilFree()
})

test('a slot that does not exist is an error of its own', async () => {
  const queue = new RelayQueue(1)
  await assert.rejects(
    ReplicationStream.open(database.url, 'no_such_slot', queue, Date.now),
    (error: Error & { code?: string }) => error.code === '42704',
  )
})

test('the end of the session is reported', async () => {
  const { stream } = await open()
  await database.pool.query(
    'SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1',
    [database.incarnation.slot],
  )
  assert.ok((await stream.ended) instanceof Error)
  stream.close()
  await untilFree()
})

test('a paused stream stays connected past the server’s timeout, and goes on after', async () => {
  const { queue, stream } = await open()
  stream.pause()
  await emit(4)
  const pausedAt = Date.now()
  await waitUntil(() => Date.now() - pausedAt > 4000, { what: 'the timeout to pass', timeoutMs: 5000 })
  stream.resume()
  assert.deepEqual(await takeEvents(queue, 1, true), [event(4)])
  stream.close()
  await untilFree()
})

test('an idle slot follows the end of the WAL', async () => {
  const { queue, stream } = await open()
  let stopped = false
  const pump = (async () => {
    for (;;) {
      const batch = await queue.take()
      if (stopped) return
      queue.acknowledge(batch)
    }
  })()
  await database.pool.query('CREATE TABLE noise AS SELECT generate_series(1, 50000)')
  const { rows } = await database.pool.query<{ lsn: string }>('SELECT pg_current_wal_lsn()::text AS lsn')
  const hasFollowed = async (): Promise<boolean> => {
    const slot = await database.pool.query<{ followed: boolean }>(
      'SELECT confirmed_flush_lsn >= $2 AS followed FROM pg_replication_slots WHERE slot_name = $1',
      [database.incarnation.slot, rows[0]?.lsn],
    )
    return slot.rows[0]?.followed ?? false
  }
  await waitUntil(hasFollowed, { what: 'the slot to follow', timeoutMs: 10_000 })
  stopped = true
  queue.wake()
  await pump
  stream.close()
})

test('a sink that refuses a frame ends the stream, and is given no more', async () => {
  const accepted: string[] = []
  const stream = await ReplicationStream.open(
    database.url,
    database.incarnation.slot,
    {
      attach: () => {},
      accept: ({ tag }) => {
        accepted.push(tag)
        if (tag === 'message') throw new Error('not in order')
      },
    },
    Date.now,
  )
  current = stream
  await emit(7, 8)
  assert.match(String(await stream.ended), /not in order/)
  assert.equal(accepted.filter((tag) => tag === 'message').length, 1)
  stream.close()
  await untilFree()
})

test('a heartbeat tells whether anybody streams', async () => {
  const beat = { actor: 'us.a', since: '0/1', run: await beginRun(database.pool) }
  await untilFree()
  assert.equal(await emitHeartbeat(database.pool, beat), false)
  const { stream } = await open()
  assert.equal(await emitHeartbeat(database.pool, beat), true)
  stream.close()
  await untilFree()
  assert.equal(await emitHeartbeat(database.pool, beat), false)
})
