import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { CoalescedReads } from './coalesced-reads.ts'

const { setImmediate: defer } = globalThis
const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 3; turn++) await setImmediate()
}

function open({ keysPerQueryMax = 256 } = {}) {
  const clock = { ms: 0 }
  const queries: {
    keys: readonly number[]
    answer: (values: ReadonlyMap<number, string>) => void
    fail: (error: Error) => void
  }[] = []
  const reads = new CoalescedReads<number, string>({
    query: (keys) => {
      const { promise, resolve, reject } = Promise.withResolvers<ReadonlyMap<number, string>>()
      queries.push({ keys, answer: resolve, fail: reject })
      return promise
    },
    keysPerQueryMax,
    defer,
    waitMaxMs: 100,
    now: () => clock.ms,
  })
  return { reads, queries, clock }
}

test('a lone read is sent at once; reads that wait share a query, those of one key an answer', async () => {
  const { reads, queries } = open()
  const first = reads.read(1)
  await settled()
  const second = reads.read(2)
  await settled()
  assert.deepEqual(
    queries.map(({ keys }) => keys),
    [[1], [2]],
  )
  const waiting = [3, 4, 3, 99].map((key) => reads.read(key))
  await settled()
  assert.equal(queries.length, 2)
  queries[0]?.answer(new Map([[1, 'one']]))
  queries[1]?.answer(new Map([[2, 'two']]))
  assert.deepEqual(await Promise.all([first, second]), ['one', 'two'])
  await settled()
  assert.deepEqual(queries[2]?.keys, [3, 4, 99])
  queries[2]?.answer(
    new Map([
      [3, 'three'],
      [4, 'four'],
    ]),
  )
  assert.deepEqual(await Promise.all(waiting), ['three', 'four', 'three', undefined])
})

test('a read is answered by a query that began after it', async () => {
  const { reads, queries } = open()
  const before = reads.read(1)
  await settled()
  const after = reads.read(1)
  await settled()
  assert.equal(queries.length, 2)
  queries[1]?.answer(new Map([[1, 'new']]))
  queries[0]?.answer(new Map([[1, 'old']]))
  assert.deepEqual(await Promise.all([before, after]), ['old', 'new'])
})

test('a query that fails fails its reads and no others', async () => {
  const { reads, queries } = open()
  const failing = assert.rejects(reads.read(1), /gone/)
  await settled()
  queries[0]?.fail(new Error('gone'))
  await failing
  const next = reads.read(1)
  await settled()
  queries[1]?.answer(new Map([[1, 'one']]))
  assert.equal(await next, 'one')
})

test('a query takes so many keys at most, and a read that nobody waits for any more is not begun', async () => {
  const { reads, queries, clock } = open({ keysPerQueryMax: 2 })
  const answered = [1, 2, 3, 4].map((key) => reads.read(key))
  await settled()
  const late = assert.rejects(reads.read(5), /waited for more than 100 ms/)
  const askedAgain = [reads.read(6)]
  await settled()
  clock.ms = 101
  askedAgain.push(reads.read(6))
  for (const { keys, answer } of queries) answer(new Map(keys.map((key) => [key, `value ${key}`])))
  assert.deepEqual(await Promise.all(answered), ['value 1', 'value 2', 'value 3', 'value 4'])
  await late
  await settled()
  assert.deepEqual(
    queries.map(({ keys }) => keys),
    [[1, 2], [3, 4], [6]],
  )
  queries[2]?.answer(new Map([[6, 'six']]))
  assert.deepEqual(await Promise.all(askedAgain), ['six', 'six'])
})
