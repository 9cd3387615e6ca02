import assert from 'node:assert/strict'
import { test } from 'node:test'
import { partitionOf } from '../kafka/publisher.ts'
import { eventPrefix } from '../postgres/message-prefix.ts'
import type { ReplicationFrame } from '../postgres/pgoutput.ts'
import { relayBatchBytesMax, relayBatchMax, RelayQueue } from './relay-queue.ts'

const partitions = 6

function setUp() {
  const calls: string[] = []
  const queue = new RelayQueue(partitions)
  queue.attach({
    pause: () => calls.push('pause'),
    resume: () => calls.push('resume'),
    confirm: (lsn) => calls.push(`confirm ${lsn}`),
  })
  const commit = (endLsn: bigint, ...messages: string[]): void => {
    const frames: ReplicationFrame[] = [
      { tag: 'begin' },
      ...messages.map((text): ReplicationFrame => ({
        tag: 'message',
        prefix: 'property-updates',
        content: Buffer.from(text),
      })),
      { tag: 'commit', commitLsn: endLsn - 1n, endLsn },
    ]
    for (const frame of frames) queue.accept(frame)
  }
  return { calls, queue, commit }
}

const event = (id: number, padding = ''): string =>
  JSON.stringify({ type: 'property', property: { id }, padding })

test('an event is offered only when its transaction has committed, and confirmed only when acknowledged', async () => {
  const { calls, queue } = setUp()
  queue.accept({ tag: 'begin' })
  queue.accept({ tag: 'message', prefix: 'property-updates', content: Buffer.from(event(1)) })
  let taken = false
  const batch = queue.take().then((result) => {
    taken = true
    return result
  })
  await new Promise(setImmediate)
  assert.equal(taken, false)
  queue.accept({ tag: 'commit', commitLsn: 9n, endLsn: 10n })
  assert.equal((await batch).records.length, 1)
  assert.equal(calls.length, 0)
  queue.acknowledge(await batch)
  assert.ok(calls.includes('confirm 10'))
})

test('a keepalive is confirmed only while nothing of ours is on the way', async () => {
  const { calls, queue, commit } = setUp()
  const keepalive = (walEnd: bigint) => queue.accept({ tag: 'keepalive', walEnd })
  keepalive(5n)
  assert.deepEqual([...calls], ['confirm 5'])
  queue.accept({ tag: 'begin' })
  keepalive(6n)
  queue.accept({ tag: 'commit', commitLsn: 7n, endLsn: 8n })
  commit(10n, event(1))
  keepalive(20n)
  const batch = await queue.take()
  keepalive(21n)
  assert.deepEqual(calls, ['confirm 5'])
  queue.acknowledge(batch)
  keepalive(22n)
  assert.deepEqual(
    calls.filter((call) => call.startsWith('confirm')),
    ['confirm 5', 'confirm 10', 'confirm 22'],
  )
})

test('a transaction that needs several sends is confirmed by the last one', async () => {
  const { calls, queue, commit } = setUp()
  commit(10n, ...Array.from({ length: relayBatchMax + 1 }, (_, id) => event(id + 1)))
  const first = await queue.take()
  assert.deepEqual([first.records.length, first.confirmLsn], [relayBatchMax, undefined])
  queue.acknowledge(first)
  assert.ok(!calls.some((call) => call.startsWith('confirm')))
  const second = await queue.take()
  assert.deepEqual([second.records.length, second.confirmLsn], [1, 10n])
})

test('a send is bounded in bytes, but takes an event that is larger alone', async () => {
  const { queue, commit } = setUp()
  const padding = 'x'.repeat(relayBatchBytesMax * 0.6)
  commit(10n, event(1, padding), event(2, padding), event(3, padding.repeat(2)))
  for (const isFull of [true, true, false]) {
    const batch = await queue.take()
    assert.deepEqual([batch.records.length, batch.isFull], [1, isFull])
    queue.acknowledge(batch)
  }
})

test('the socket is paused above 8 MB and resumed below 2 MB', async () => {
  const { calls, queue, commit } = setUp()
  const megabyte = 'x'.repeat(1024 * 1024)
  for (let lsn = 1n; lsn <= 9n; lsn++) commit(lsn, event(1, megabyte))
  assert.deepEqual(calls, ['pause', 'pause'])
  for (let left = 9; left > 2; left--) queue.acknowledge(await queue.take())
  assert.ok(!calls.includes('resume'))
  queue.acknowledge(await queue.take())
  assert.ok(calls.includes('resume'))
  assert.ok(queue.bytes < 2 * 1024 * 1024)
})

test('an event goes to its key’s partition, a heartbeat with its commit LSN to all of them', async () => {
  const { queue, commit } = setUp()
  commit(0x16_0000_0002n, event(7), '{"type":"heartbeat","actor":"us.a"}', 'not json')
  const { records } = await queue.take()
  assert.deepEqual(
    records.map((record) => record.partition),
    [partitionOf(Buffer.from('7'), partitions), 0, 1, 2, 3, 4, 5, partitionOf(Buffer.from(''), partitions)],
  )
  assert.equal(
    records[1]?.value.toString(),
    '{"type":"heartbeat","actor":"us.a","lsn":"16/1","partitions":6}',
  )
  assert.equal(records[7]?.value.toString(), 'not json')
})

test('an event that its prefix routes is not parsed, and says whose it is', async () => {
  const { queue } = setUp()
  const content = Buffer.from('anything')
  queue.accept({ tag: 'begin' })
  queue.accept({ tag: 'message', prefix: eventPrefix({ actor: 'us.a', key: '7' }), content })
  queue.accept({ tag: 'message', prefix: 'of another program', content })
  queue.accept({ tag: 'commit', commitLsn: 1n, endLsn: 2n })
  const key = Buffer.from('7')
  assert.deepEqual((await queue.take()).records, [
    { partition: partitionOf(key, partitions), key, value: content, actor: 'us.a' },
  ])
})

test('a stream that is not a sequence of whole transactions is refused, and confirms nothing', () => {
  const message = { tag: 'message', prefix: 'property-updates', content: Buffer.from(event(1)) } as const
  const commit = { tag: 'commit', commitLsn: 9n, endLsn: 10n } as const
  for (const frames of [[message], [commit], [{ tag: 'begin' }, { tag: 'begin' }]] as const) {
    const { queue, calls } = setUp()
    assert.throws(() => {
      for (const frame of frames) queue.accept(frame)
    }, /WAL stream/)
    assert.deepEqual(calls, [])
  }
})

test('partitions are those of Java’s default partitioner', () => {
  // Values of org.apache.kafka.common.utils.Utils.toPositive(murmur2(key)) % 6.
  const known = { '1': 3, '2': 2, '42': 4, '1000': 4, '123456789': 0 }
  assert.deepEqual(
    Object.fromEntries(Object.keys(known).map((key) => [key, partitionOf(Buffer.from(key), 6)])),
    known,
  )
})
