/**
 * The applier: from Kafka into the region's database.
 *
 * Invariant: an applier merges only while it holds the advisory lock of its Kafka cluster, and continues where the
 * database says. The others stand by and try again every 250 ms. A frozen applier that resumes has lost its session,
 * or finds the offsets moved: it can neither skip nor repeat anything. Batches are merged one after the other; only
 * preparing the next one overlaps.
 */

import type { Logger } from 'pino'
import type { TopicIdentity } from '../postgres/kafka-offsets.ts'
import { everyActor } from '../postgres/gaps.ts'
import type { IncomingRecord } from '../kafka/reader.ts'
import type { Metrics } from '../runtime/metrics.ts'
import { aborted, type Service, type Sleep } from '../runtime/service.ts'
import { BatchMerger, moveTo, type PreparedBatch } from './batch-merger.ts'
import { BatchSize, type BatchBounds } from './batch-size.ts'
import { findGaps } from './find-gaps.ts'
import type { EventLog, EventReader, MergeSession } from './ports.ts'

const standbyPollMs = 250
const pingIntervalMs = 2000
/**
 * Own events alone move the offsets so often, ms: a transaction and a flush for each batch of them would gain nothing. What
 * is left moves with the next heartbeats, which all partitions have, and is read again by a successor otherwise.
 */
const ownMoveIntervalMs = 1000

export interface ApplierOptions {
  readonly openSession: () => Promise<MergeSession>
  readonly log: EventLog
  readonly actor: string
  readonly batchBounds: BatchBounds
  readonly metrics: Metrics
  readonly logger: Logger
  /** ms since the epoch. */
  readonly now: () => number
  readonly sleep: Sleep
  /** This actor has published what its database does not know: the database was put back to an earlier state. */
  readonly onRestored: (detail: string) => void
}

export class Applier implements Service {
  readonly id: string
  readonly #options: ApplierOptions

  constructor(options: ApplierOptions) {
    this.#options = options
    this.id = `applier of ${options.log.cluster}`
  }

  async run(signal: AbortSignal): Promise<void> {
    const { openSession, log, metrics } = this.#options
    const session = await openSession()
    const stop = new AbortController()
    const stopped = AbortSignal.any([signal, stop.signal])
    try {
      const failure = await Promise.race([
        session.lost,
        this.#applyWhenLocked(session, stopped),
        aborted(stopped),
      ])
      if (failure) throw failure
    } finally {
      stop.abort()
      metrics.applierActive.set({ cluster: log.cluster }, 0)
      session.close()
    }
  }

  async #applyWhenLocked(session: MergeSession, signal: AbortSignal): Promise<undefined> {
    const { log, metrics, logger, sleep } = this.#options
    while (!(await session.tryLock(log.cluster))) {
      await sleep(standbyPollMs, signal)
      if (signal.aborted) return
    }
    const topic = await log.ensureTopic()
    const reader = log.openReader(topic)
    try {
      const positions = await this.#beginReading(session, reader, topic)
      reader.start(positions)
      metrics.applierActive.set({ cluster: log.cluster }, 1)
      logger.info({ topic: topic.topic, topic_id: topic.topicId }, 'applier reads')
      const merger = await BatchMerger.create(session, topic, this.#options)
      await this.#applyAll(session, reader, merger, positions, signal)
    } finally {
      void reader.close().catch(() => {})
    }
  }

  /** Where to continue, after recording what may be missing in between. */
  async #beginReading(
    session: MergeSession,
    reader: EventReader,
    topic: TopicIdentity,
  ): Promise<Map<number, bigint>> {
    const { offsets, topicReplaced } = await session.readOffsets(topic)
    const { positions, gap } = findGaps(await reader.ranges(), offsets, topicReplaced)
    if (gap) {
      this.#options.logger.error({ topic_id: topic.topicId, reason: gap }, 'events may be missing')
      await session.recordGap(topic.clusterId, everyActor, gap)
    }
    await session.setOffsets(topic, positions)
    return positions
  }

  async #applyAll(
    session: MergeSession,
    reader: EventReader,
    merger: BatchMerger,
    positions: Map<number, bigint>,
    signal: AbortSignal,
  ): Promise<void> {
    const { batchBounds, now } = this.#options
    const size = new BatchSize(batchBounds)
    let movedAt = now()
    const ended = aborted(signal).then(() => reader.close())
    let merging = Promise.resolve()
    while (!signal.aborted) {
      // A batch that is not full yet waits for the one before, as it grows meanwhile.
      if (reader.queued < size.max) await merging
      const { max } = size
      const records = await this.#takeWithPings(session, reader, max)
      if (records.length === 0) continue
      const batch = await merger.prepare(records, positions)
      if (batch.isOwn && Math.abs(now() - movedAt) < ownMoveIntervalMs) continue
      moveTo(positions, batch)
      movedAt = now()
      await merging
      merging = this.#merge(merger, batch).then((elapsedMs) =>
        size.learn({ records: records.length, max, elapsedMs }),
      )
      merging.catch(() => {}) // the next turn throws it
    }
    await merging
    await ended
  }

  /** Returns how long it took, ms. */
  async #merge(merger: BatchMerger, batch: PreparedBatch): Promise<number> {
    const { now } = this.#options
    const beganAt = now()
    await merger.merge(batch)
    return now() - beganAt
  }

  /** Waits for records; the session must not look idle meanwhile. */
  async #takeWithPings(
    session: MergeSession,
    reader: EventReader,
    max: number,
  ): Promise<readonly IncomingRecord[]> {
    const taken = reader.take(max)
    for (;;) {
      const timer = new AbortController()
      const records = await Promise.race([taken, this.#options.sleep(pingIntervalMs, timer.signal)])
      timer.abort()
      if (records) return records
      await session.ping()
    }
  }
}
