import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import { pino } from 'pino'
import { createMetrics } from '../runtime/metrics.ts'
import { sleep } from '../runtime/service.ts'
import { Applier } from './applier.ts'
import { applierBatchBounds } from './batch-size.ts'
import type { EventLog, MergeSession, ReplicationFeed } from './ports.ts'
import { Relay } from './relay.ts'

const metrics = createMetrics('us')
const common = { metrics, logger: pino({ level: 'silent' }), now: () => 0, sleep }
const failing = (): Promise<never> => Promise.reject(new Error('away'))
const log = {
  cluster: 'kafka:9092',
  ensureTopic: () => Promise.resolve({ leaders: [1] }),
  openPublisher: () => ({ send: failing, close: () => Promise.resolve() }),
} as unknown as EventLog

test('a relay and an applier that fail leave nothing behind, however often they are started again', async () => {
  const never = new Promise<Error>(() => {})
  const session = { lost: never, tryLock: failing, close() {} } as unknown as MergeSession
  const feed = { ended: never, close() {} } as unknown as ReplicationFeed
  const source = { open: () => Promise.resolve(feed), beginRun: failing, emitHeartbeat: failing }
  const incarnation = { actor: 'us.a', slot: 'slot', since: '0/1' }
  const services = [
    new Applier({
      ...common,
      openSession: () => Promise.resolve(session),
      log,
      actor: 'us.a',
      batchBounds: applierBatchBounds,
      onRestored() {},
    }),
    new Relay({ ...common, source, log, incarnation }),
  ]
  const { signal } = new AbortController()
  for (const service of services) {
    for (let start = 0; start < 3; start++) await assert.rejects(service.run(signal), /away/)
    assert.equal(getEventListeners(signal, 'abort').length, 0, service.id)
  }
})

test('a relay whose stream PostgreSQL has ended in silence learns of it by its heartbeats', async () => {
  const feed = { ended: new Promise<Error>(() => {}), close() {} } as unknown as ReplicationFeed
  const streams = [true, true, false]
  const source = {
    open: () => Promise.resolve(feed),
    beginRun: () => Promise.resolve('run@0/1'),
    emitHeartbeat: () => Promise.resolve(streams.shift() ?? assert.fail('it went on')),
  }
  const incarnation = { actor: 'us.a', slot: 'slot', since: '0/1' }
  const relay = new Relay({ ...common, source, log, incarnation })
  await assert.rejects(relay.run(new AbortController().signal), /PostgreSQL has ended the stream/)
})
