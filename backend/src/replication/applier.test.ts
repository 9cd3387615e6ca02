import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { pino } from 'pino'
import type { IncomingRecord } from '../kafka/reader.ts'
import type { OffsetAdvance } from '../postgres/kafka-offsets.ts'
import { createMetrics } from '../runtime/metrics.ts'
import { sleep } from '../runtime/service.ts'
import { Applier } from './applier.ts'
import { applierBatchBounds } from './batch-size.ts'
import type { EventLog, EventReader, MergeSession, MergeTransaction } from './ports.ts'

const partition = 0
const actor = 'us.a'
/** Of a millisecond each. */
const triesMax = 5000
/** More than two batches of the first size. */
const backlog = 1200
const firstBatch = applierBatchBounds.first

const until = async (condition: () => boolean): Promise<void> => {
  for (let tries = 0; !condition(); tries++) {
    assert.ok(tries < triesMax, 'it does not come about')
    await sleep(1)
  }
}

const heartbeat = (members: object): string =>
  JSON.stringify({
    schema: 1,
    type: 'heartbeat',
    run: 'a@0/1',
    since: '0/1',
    lsn: '0/1',
    xmin: '1',
    t: 1,
    partitions: 1,
    applied: {},
    ...members,
  })

/**
 * An applier with a backlog of no events, of which so many at first are its own. Its transactions tell from where to
 * where they go, and wait for `merged`; so many of them are refused for their content.
 */
function startApplier(
  t: TestContext,
  { merged = Promise.resolve(), refused = 0, own = 0, last = 'no event', now = (): number => 0 } = {},
) {
  const waiting = Array.from({ length: backlog }, (_, offset): IncomingRecord => ({
    partition,
    offset: BigInt(offset),
    value: Buffer.from(offset === backlog - 1 ? last : 'no event'),
    ...(offset < own && { actor }),
  }))
  const closed = Promise.withResolvers<[]>()
  const reader = {
    ranges: () => Promise.resolve([{ earliest: 0n, latest: BigInt(backlog) }]),
    start() {},
    get queued() {
      return waiting.length
    },
    take: (max: number) => (waiting.length > 0 ? Promise.resolve(waiting.splice(0, max)) : closed.promise),
    close: () => Promise.resolve(closed.resolve([])),
  } as unknown as EventReader
  const moves: OffsetAdvance[] = []
  const quarantined: number[] = []
  const refusals: string[] = []
  const transaction = {
    async advanceOffsets(_: unknown, advances: ReadonlyMap<number, OffsetAdvance>) {
      moves.push(...advances.values())
      await merged
      if (moves.length <= refused) throw Object.assign(new Error('refused'), { code: '22P05' })
      return 0
    },
    mergeStates: () => Promise.resolve(new Set()),
    mergeClaims: () => Promise.resolve([]),
    mergeConflicts: () => Promise.resolve([]),
    mergeMarks: () => Promise.resolve(),
    readOwnPosition: () => Promise.resolve({ run: 'a@0/1', walEnd: '0/2' }),
    refuseWrites: (reason: string) => Promise.resolve(refusals.push(reason)),
    storeSource: () => Promise.reject(Object.assign(new Error('refused'), { code: '22021' })),
    quarantineRecord: (_: unknown, { offset }: { offset: bigint }) =>
      Promise.resolve(quarantined.push(Number(offset))),
  } as unknown as MergeTransaction
  const session = {
    lost: new Promise<Error>(() => {}),
    tryLock: () => Promise.resolve(true),
    readOffsets: () => Promise.resolve({ offsets: new Map([[partition, 0n]]), topicReplaced: false }),
    setOffsets: () => Promise.resolve(),
    readSources: () => Promise.resolve({ sources: [], now: 0 }),
    readGaps: () => Promise.resolve(new Map()),
    ping: () => Promise.resolve(),
    transaction: (work: (one: MergeTransaction) => Promise<unknown>) => work(transaction),
    close() {},
  } as unknown as MergeSession
  const topic = { clusterId: 'c', topicId: 't', topic: 'topic', leaders: [1] }
  const log = { cluster: 'kafka', ensureTopic: () => Promise.resolve(topic), openReader: () => reader }
  const applier = new Applier({
    openSession: () => Promise.resolve(session),
    log: log as unknown as EventLog,
    actor,
    batchBounds: applierBatchBounds,
    metrics: createMetrics('us'),
    logger: pino({ level: 'silent' }),
    now,
    sleep,
    onRestored() {},
  })
  const stop = new AbortController()
  t.after(() => stop.abort())
  return { ended: applier.run(stop.signal), stop, moves, waiting, quarantined, refusals }
}

test('the next batch is taken while the database merges, and continues where that one ends', async (t) => {
  const merged = Promise.withResolvers<void>()
  const { ended, stop, moves, waiting } = startApplier(t, { merged: merged.promise })
  await until(() => waiting.length === backlog - 2 * firstBatch)
  assert.equal(moves.length, 1, 'one transaction at a time')
  merged.resolve()
  await until(() => moves.at(-1)?.to === BigInt(backlog))
  assert.deepEqual(
    moves.map(({ from, to }) => [Number(from), Number(to)]),
    [
      [0, firstBatch],
      [firstBatch, 2 * firstBatch],
      [2 * firstBatch, backlog],
    ],
  )
  stop.abort()
  await ended
})

test('batches of own events alone are passed over, and the next batch moves the offsets past them', async (t) => {
  const { ended, stop, moves } = startApplier(t, { own: firstBatch + 1 })
  await until(() => moves.at(-1)?.to === BigInt(backlog))
  assert.deepEqual(
    moves.map(({ from, to }) => [Number(from), Number(to)]),
    [
      [0, 2 * firstBatch],
      [2 * firstBatch, backlog],
    ],
  )
  stop.abort()
  await ended
})

test('own events alone move the offsets after a second', async (t) => {
  let time = 0
  const { ended, stop, moves } = startApplier(t, { own: backlog, now: () => (time += 1000) })
  await until(() => moves.at(-1)?.to === BigInt(backlog))
  assert.deepEqual(
    moves.map(({ to }) => Number(to)),
    [firstBatch, 2 * firstBatch, backlog],
  )
  stop.abort()
  await ended
})

test('an own heartbeat is held against the database, also where nothing but own events comes with it', async (t) => {
  const last = heartbeat({ actor, lsn: '0/3' })
  const { ended, stop, moves, refusals } = startApplier(t, { own: backlog - 1, last })
  await until(() => refusals.length > 0)
  assert.equal(moves.at(-1)?.to, BigInt(backlog))
  stop.abort()
  await ended
})

test('a merge that fails ends the applier, and what was taken meanwhile is not merged', async (t) => {
  const merged = Promise.withResolvers<void>()
  const { ended, moves, waiting } = startApplier(t, { merged: merged.promise })
  await until(() => waiting.length === backlog - 2 * firstBatch)
  merged.reject(new Error('gone'))
  await assert.rejects(ended, /gone/)
  assert.equal(moves.length, 1)
})

test('a batch that the database refuses is merged record by record, and the next one continues where it ends', async (t) => {
  const merged = Promise.withResolvers<void>()
  const { ended, stop, moves, waiting } = startApplier(t, { merged: merged.promise, refused: 1 })
  await until(() => waiting.length === backlog - 2 * firstBatch)
  merged.resolve()
  await until(() => moves.at(-1)?.to === BigInt(backlog))
  const singles = Array.from({ length: firstBatch }, (_, offset) => [offset, offset + 1])
  assert.deepEqual(
    moves.map(({ from, to }) => [Number(from), Number(to)]),
    [[0, firstBatch], ...singles, [firstBatch, 2 * firstBatch], [2 * firstBatch, backlog]],
  )
  stop.abort()
  await ended
})

test('a heartbeat that the database refuses is quarantined and blocks nothing', async (t) => {
  const last = heartbeat({ actor: 'eu.b', since: 'x\u0000' })
  const { ended, stop, moves, quarantined } = startApplier(t, { last })
  await until(() => quarantined.includes(backlog - 1))
  assert.equal(moves.at(-1)?.to, BigInt(backlog))
  stop.abort()
  await ended
})
