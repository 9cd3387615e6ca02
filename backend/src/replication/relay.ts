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
import type { Incarnation } from '../domain/incarnation.ts'
import { SlotBusyError } from '../postgres/replication-stream.ts'
import type { Metrics } from '../runtime/metrics.ts'
import { aborted, type Service, type Sleep } from '../runtime/service.ts'
import type { EventLog, EventPublisher, ReplicationFeed, ReplicationSource } from './ports.ts'
import { RelayQueue } from './relay-queue.ts'

/** A send without an answer for so long gives up the slot: another backend may reach Kafka. */
const sendTimeoutMs = 10_000
/**
 * Sends begin so far apart, ms, unless more waits than a batch holds. A lone event goes at once; under load each send costs
 * the broker, and every applier a fetch and a transaction, which two events share as well as one.
 */
export const sendIntervalMs = 8
const standbyPollMs = 250
export const heartbeatIntervalMs = 250

export interface RelayOptions {
  readonly source: ReplicationSource
  readonly log: EventLog
  readonly incarnation: Incarnation
  readonly metrics: Metrics
  readonly logger: Logger
  /** ms since the epoch. */
  readonly now: () => number
  readonly sleep: Sleep
}

export class Relay implements Service {
  readonly id = 'relay'
  readonly #options: RelayOptions
  #queue: RelayQueue | undefined
  /** When Kafka last acknowledged something of this region's relay, ms; undefined while another backend relays. */
  #acknowledgedAt: number | undefined

  constructor(options: RelayOptions) {
    this.#options = options
  }

  /** Bytes that were read and that Kafka has not acknowledged. */
  get queuedBytes(): number {
    return this.#queue?.bytes ?? 0
  }

  /**
   * Time since the confirmed position last moved, s: below one while all is well, as heartbeats move it. It goes on
   * growing while this relay cannot reach Kafka; undefined while another backend relays.
   */
  get confirmedAgeSeconds(): number | undefined {
    return this.#acknowledgedAt === undefined
      ? undefined
      : (this.#options.now() - this.#acknowledgedAt) / 1000
  }

  async run(signal: AbortSignal): Promise<void> {
    const { log, incarnation, now, logger, metrics } = this.#options
    const { leaders } = await log.ensureTopic()
    const queue = new RelayQueue(leaders.length)
    const stream = await this.#openWhenFree(queue, signal)
    if (!stream) return
    const publisher = log.openPublisher()
    const stop = new AbortController()
    this.#queue = queue
    this.#acknowledgedAt ??= now()
    metrics.relayActive.set(1)
    logger.info({ slot: incarnation.slot, partitions: leaders.length }, 'relay streams')
    try {
      const failure = await Promise.race([
        stream.ended,
        this.#publish(queue, publisher, stop.signal),
        this.#beat(stop.signal),
        aborted(AbortSignal.any([signal, stop.signal])),
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

  async #openWhenFree(queue: RelayQueue, signal: AbortSignal): Promise<ReplicationFeed | undefined> {
    const { source, sleep } = this.#options
    while (!signal.aborted) {
      try {
        return await source.open(queue)
      } catch (error) {
        if (!(error instanceof SlotBusyError)) throw error
        this.#acknowledgedAt = undefined
      }
      await sleep(standbyPollMs, signal)
    }
    return undefined
  }

  async #publish(queue: RelayQueue, publisher: EventPublisher, signal: AbortSignal): Promise<undefined> {
    while (!signal.aborted) {
      const batch = await queue.take()
      let interval: Promise<void> | undefined
      if (batch.records.length > 0) {
        if (!batch.isFull) interval = this.#options.sleep(sendIntervalMs, signal)
        await this.#orTimeout(publisher.send(batch.records))
        this.#options.metrics.relayPublished.inc(batch.records.length)
      }
      queue.acknowledge(batch)
      this.#acknowledgedAt = this.#options.now()
      await interval
    }
    return undefined
  }

  /** PostgreSQL ends the stream of a connection that has gone silent, and cannot say so on it: heartbeats learn of it. */
  async #beat(signal: AbortSignal): Promise<undefined> {
    const { source, incarnation, sleep } = this.#options
    const { actor, since } = incarnation
    const run = await source.beginRun()
    while (!signal.aborted) {
      const streams = await source.emitHeartbeat({ actor, since, run })
      if (!streams) throw new Error('PostgreSQL has ended the stream')
      await sleep(heartbeatIntervalMs, signal)
    }
    return undefined
  }

  async #orTimeout(work: Promise<void>): Promise<void> {
    const timer = new AbortController()
    const late = this.#options.sleep(sendTimeoutMs, timer.signal).then(() => 'late')
    try {
      if (await Promise.race([work, late])) throw new Error('Kafka did not acknowledge a batch')
    } finally {
      timer.abort()
    }
  }
}
