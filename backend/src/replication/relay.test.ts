import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { pino } from 'pino'
import type { OutgoingRecord } from '../kafka/publisher.ts'
import { createMetrics } from '../runtime/metrics.ts'
import { eventPrefix } from '../postgres/message-prefix.ts'
import type { FrameSink } from '../postgres/replication-stream.ts'
import type { EventLog, ReplicationFeed, ReplicationSource } from './ports.ts'
import { relayBatchMax } from './relay-queue.ts'
import { Relay, sendIntervalMs } from './relay.ts'

const prefix = eventPrefix({ actor: 'us.a', key: '1' })

const turns = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A relay that streams what `commit` is given, to a log that takes everything; time stands still until `pass`. */
async function startRelay(t: TestContext) {
  const sends: number[] = []
  const intervals: Array<() => void> = []
  let sink: FrameSink | undefined
  const feed = { ended: new Promise<Error>(() => {}), confirm() {}, pause() {}, resume() {}, close() {} }
  const stop = new AbortController()
  const relay = new Relay({
    source: {
      open: (opened) => {
        sink = opened
        opened.attach(feed)
        return Promise.resolve(feed as ReplicationFeed)
      },
      beginRun: () => Promise.resolve('run@0/1'),
      emitHeartbeat: () => Promise.resolve(true),
    } satisfies ReplicationSource,
    log: {
      ensureTopic: () => Promise.resolve({ leaders: [1] }),
      openPublisher: () => ({
        send: async (records: readonly OutgoingRecord[]) => void sends.push(records.length),
        close: () => Promise.resolve(),
      }),
    } as unknown as EventLog,
    incarnation: { actor: 'us.a', slot: 'slot', since: '0/1' },
    metrics: createMetrics('us'),
    logger: pino({ level: 'silent' }),
    now: () => 0,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (ms === sendIntervalMs) intervals.push(resolve)
        signal?.addEventListener('abort', () => resolve(), { once: true })
      }),
  })
  const ended = relay.run(stop.signal)
  t.after(() => {
    stop.abort()
    return ended
  })
  await turns()
  let lsn = 0n
  const commit = async (events: number): Promise<void> => {
    const message = { tag: 'message', prefix, content: Buffer.from('{}') } as const
    sink?.accept({ tag: 'begin' })
    for (let event = 0; event < events; event++) sink?.accept(message)
    sink?.accept({ tag: 'commit', commitLsn: lsn, endLsn: ++lsn })
    await turns()
  }
  const pass = async (): Promise<void> => {
    for (const end of intervals.splice(0)) end()
    await turns()
  }
  return { sends, commit, pass }
}

test('an event is sent at once, and those that follow within the interval together', async (t) => {
  const { sends, commit, pass } = await startRelay(t)
  await commit(1)
  assert.deepEqual(sends, [1])
  await commit(1)
  await commit(1)
  assert.deepEqual(sends, [1])
  await pass()
  assert.deepEqual(sends, [1, 2])
  await pass()
  await commit(1)
  assert.deepEqual(sends, [1, 2, 1])
})

test('a backlog is sent without a pause', async (t) => {
  const { sends, commit } = await startRelay(t)
  await commit(2 * relayBatchMax + 1)
  assert.deepEqual(sends, [relayBatchMax, relayBatchMax, 1])
})
