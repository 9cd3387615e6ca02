/**
 * The relay: from the region's WAL to Kafka.
 *
 * Invariant: the slot's confirmed position never passes a transaction whose events Kafka has not acknowledged, and
 * events are published in commit order. So an event is published at least once, after a crash again from the
 * confirmed position; while Kafka is away the WAL is the queue.
 *
 * The slot admits one relay per region. The others stand by and try again every 250 ms. Whoever holds the slot also
 * sends the heartbeats, so a heartbeat vouches for the whole path that events take.
 */

import type { Logger } from 'pino'
import type pg from 'pg'
import { Publisher } from '../kafka/publisher.ts'
import { ensureTopic, type TopicSettings } from '../kafka/topic.ts'
import { emitHeartbeat } from '../postgres/emit-heartbeat.ts'
import type { Incarnation } from '../postgres/prepare-database.ts'
import { ReplicationStream, SlotBusyError } from '../postgres/replication-stream.ts'
import type { Metrics } from '../runtime/metrics.ts'
import { aborted, sleep, type Service } from '../runtime/service.ts'
import { RelayQueue } from './relay-queue.ts'

/** A send without an answer for so long gives up the slot: another backend may reach Kafka. */
const sendTimeoutMs = 10_000
const standbyPollMs = 250
export const heartbeatIntervalMs = 250

export interface RelayOptions {
  readonly databaseUrl: string
  readonly pool: pg.Pool
  readonly incarnation: Incarnation
  readonly topic: TopicSettings
  readonly metrics: Metrics
  readonly log: Logger
  /** ms since the epoch. */
  readonly now: () => number
}

export class Relay implements Service {
  readonly id = 'relay'
  readonly #options: RelayOptions
  #queue: RelayQueue | undefined

  constructor(options: RelayOptions) {
    this.#options = options
  }

  /** What waits for Kafka: bytes, and the age of the oldest of it in seconds. undefined while standing by. */
  get backlog(): { bytes: number; seconds: number } | undefined {
    return this.#queue && { bytes: this.#queue.bytes, seconds: this.#queue.waitingMs / 1000 }
  }

  async run(signal: AbortSignal): Promise<void> {
    const { topic, incarnation, now, log, metrics } = this.#options
    const { leaders } = await ensureTopic(topic)
    const queue = new RelayQueue(leaders.length, now)
    const stream = await this.#openWhenFree(queue, signal)
    if (!stream) return
    const publisher = new Publisher(topic)
    const stop = new AbortController()
    this.#queue = queue
    metrics.relayActive.set(1)
    log.info({ slot: incarnation.slot, partitions: leaders.length }, 'relay streams')
    try {
      const failure = await Promise.race([
        stream.ended,
        this.#publish(queue, publisher, stop.signal),
        this.#beat(leaders.length, stop.signal),
        aborted(signal),
      ])
      if (failure) throw failure
    } finally {
      this.#queue = undefined
      metrics.relayActive.set(0)
      stop.abort()
      queue.wake()
      stream.close()
      // A producer that waits for a frozen broker closes in its own time; nothing waits for it.
      void publisher.close().catch(() => {})
    }
  }

  async #openWhenFree(queue: RelayQueue, signal: AbortSignal): Promise<ReplicationStream | undefined> {
    const { databaseUrl, incarnation, now } = this.#options
    while (!signal.aborted) {
      try {
        return await ReplicationStream.open(databaseUrl, incarnation.slot, queue, now)
      } catch (error) {
        if (!(error instanceof SlotBusyError)) throw error
      }
      await sleep(standbyPollMs, signal)
    }
    return undefined
  }

  async #publish(queue: RelayQueue, publisher: Publisher, signal: AbortSignal): Promise<undefined> {
    while (!signal.aborted) {
      const batch = await queue.take()
      if (batch.records.length > 0) {
        await withTimeout(publisher.send(batch.records), sendTimeoutMs, 'Kafka did not acknowledge a batch')
        this.#options.metrics.relayPublished.inc(batch.records.length)
      }
      queue.acknowledge(batch)
    }
    return undefined
  }

  async #beat(partitions: number, signal: AbortSignal): Promise<undefined> {
    const { pool, incarnation } = this.#options
    while (!signal.aborted) {
      await emitHeartbeat(pool, { actor: incarnation.actor, since: incarnation.since, partitions })
      await sleep(heartbeatIntervalMs, signal)
    }
    return undefined
  }
}

async function withTimeout(work: Promise<void>, ms: number, message: string): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(message)), ms)
  try {
    await Promise.race([work, promise])
  } finally {
    clearTimeout(timer)
  }
}
