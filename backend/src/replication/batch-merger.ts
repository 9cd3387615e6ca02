/**
 * Merges batches of records into the database.
 *
 * Invariant: rows, claims, conflict records, marks and offsets of a batch commit in one transaction, whose first
 * statement compares the offsets with where this applier left them. So every event takes effect together with its
 * offset, or not at all. A record that cannot be merged goes to the quarantine and never blocks. Statements that do not
 * need each other's answers are sent together, and the transaction ends only when all of them have been answered: what
 * was sent after its end would commit alone.
 *
 * What needs no database, decoding, folding and encoding, is a step of its own, so that on a backlog the next batch is
 * prepared while the database merges the one before. Where it begins is known by then: a merge ends where its batch
 * ends, or the applier ends.
 */

import type { Logger } from 'pino'
import type { Heartbeat } from '../domain/event.ts'
import { narrowOffset, type OffsetBounds } from '../domain/lag.ts'
import type { IncomingRecord } from '../kafka/reader.ts'
import type { TopicDescription } from '../kafka/topic.ts'
import { everyActor } from '../postgres/gaps.ts'
import type { DeliveredHeartbeat } from '../postgres/merge-marks.ts'
import type { QuarantinedRecord } from '../postgres/quarantine-record.ts'
import type { Metrics } from '../runtime/metrics.ts'
import type { Sleep } from '../runtime/service.ts'
import { together } from '../runtime/together.ts'
import { decodeRecord, sortBatch, type DecodedBatch, type DecodedRecord } from './decode.ts'
import { findRestored } from './find-restored.ts'
import { foldEvents } from './fold.ts'
import { encodeBatch, mergeBatch, type EncodedBatch, type MergeCounts } from './merge-batch.ts'
import type { MergeSession, MergeTransaction } from './ports.ts'

export interface BatchMergerOptions {
  readonly actor: string
  readonly metrics: Metrics
  readonly logger: Logger
  readonly sleep: Sleep
  readonly onRestored: (detail: string) => void
}

/** Records that are decoded at a time; between two such runs the process answers requests and the database. */
const decodeMax = 250

/** A batch that is ready for its transaction. */
export interface PreparedBatch {
  readonly records: readonly IncomingRecord[]
  readonly decoded: DecodedBatch
  readonly encoded: EncodedBatch
  /** Nothing but this actor's own events: merging it would move the offsets and change nothing else. */
  readonly isOwn: boolean
}

/** Where the batch after this one continues. */
export function moveTo(positions: Map<number, bigint>, { decoded }: PreparedBatch): void {
  for (const [partition, { to }] of decoded.advances) positions.set(partition, to)
}

/** Merges batches on one session; keeps in memory what the session has read of its sources. */
export class BatchMerger {
  readonly #session: MergeSession
  readonly #topic: TopicDescription
  readonly #options: BatchMergerOptions
  readonly #sources: Map<string, { since: string; bounds: OffsetBounds }>
  readonly #gaps: Set<string>

  private constructor(
    session: MergeSession,
    topic: TopicDescription,
    options: BatchMergerOptions,
    known: { sources: Map<string, { since: string; bounds: OffsetBounds }>; gaps: Set<string> },
  ) {
    this.#session = session
    this.#topic = topic
    this.#options = options
    this.#sources = known.sources
    this.#gaps = known.gaps
  }

  static async create(
    session: MergeSession,
    topic: TopicDescription,
    options: BatchMergerOptions,
  ): Promise<BatchMerger> {
    const { sources } = await session.readSources()
    const gaps = new Set((await session.readGaps(topic.clusterId)).keys())
    return new BatchMerger(session, topic, options, {
      sources: new Map(
        sources.map(({ actor, since, offset_lower: lower, offset_upper: upper }) => [
          actor,
          { since, bounds: { lower, upper } },
        ]),
      ),
      gaps,
    })
  }

  /** Decodes and folds a batch that continues from `positions`. */
  async prepare(
    records: readonly IncomingRecord[],
    positions: ReadonlyMap<number, bigint>,
  ): Promise<PreparedBatch> {
    const { actor, sleep } = this.#options
    const each: DecodedRecord[] = []
    for (const record of records) {
      if (each.length % decodeMax === 0 && each.length > 0) await sleep(0)
      each.push(decodeRecord(record, actor))
    }
    const decoded = sortBatch(each, actor, positions)
    const { events, heartbeats, ownHeartbeats, poison } = decoded
    const isOwn = [events, heartbeats, ownHeartbeats, poison].every(({ length }) => length === 0)
    return { records, decoded, encoded: encodeBatch(foldEvents(events)), isOwn }
  }

  /** Merges a batch; record by record if the database refuses it for its content. */
  async merge(batch: PreparedBatch): Promise<void> {
    const { records } = batch
    try {
      await this.#mergeTogether(batch, [])
    } catch (error) {
      if (!isContentError(error)) throw error
      if (records.length > 1) {
        const positions = new Map(
          [...batch.decoded.advances].map(([partition, { from }]) => [partition, from]),
        )
        for (const record of records) {
          const one = await this.prepare([record], positions)
          await this.merge(one)
          moveTo(positions, one)
        }
        return
      }
      const poison = records.map(({ partition, offset, value }) => ({
        partition,
        offset,
        payload: value,
        reason: String(error),
      }))
      await this.#mergeTogether(
        { ...batch, decoded: { ...batch.decoded, heartbeats: [] }, encoded: encodeBatch(foldEvents([])) },
        poison,
      )
    }
  }

  async #mergeTogether(
    { decoded, encoded }: PreparedBatch,
    refused: readonly QuarantinedRecord[],
  ): Promise<void> {
    const poison = [...decoded.poison, ...refused]
    const { counts, restored } = await this.#session.transaction(async (transaction) => {
      const [arrivedAt, merged] = await together([
        transaction.advanceOffsets(this.#topic, decoded.advances),
        mergeBatch(transaction, this.#options.actor, encoded),
      ])
      for (const record of poison) await transaction.quarantineRecord(this.#topic, record)
      await this.#storeHeartbeats(transaction, decoded.heartbeats, arrivedAt)
      return { counts: merged, restored: await this.#checkOwn(transaction, decoded.ownHeartbeats) }
    })
    this.#count(counts, poison)
    if (restored) this.#options.onRestored(restored)
  }

  async #storeHeartbeats(
    transaction: MergeTransaction,
    delivered: readonly DeliveredHeartbeat[],
    arrivedAt: number,
  ): Promise<void> {
    const newest = new Map<string, Heartbeat>()
    for (const { heartbeat } of delivered) {
      const known = newest.get(heartbeat.actor)
      if (!known || heartbeat.t > known.t) newest.set(heartbeat.actor, heartbeat)
    }
    for (const heartbeat of newest.values()) {
      if (heartbeat.partitions > this.#topic.leaders.length) {
        throw new Error(`the topic has ${heartbeat.partitions} partitions by now`)
      }
      await this.#storeSource(transaction, heartbeat, arrivedAt)
    }
    const frozen = (actor: string): boolean => this.#gaps.has(everyActor) || this.#gaps.has(actor)
    await transaction.mergeMarks(delivered.filter(({ heartbeat }) => !frozen(heartbeat.actor)))
  }

  /** `arrivedAt` is the database's clock in µs, as all times of the lag arithmetic are. */
  async #storeSource(transaction: MergeTransaction, heartbeat: Heartbeat, arrivedAt: number): Promise<void> {
    const known = this.#sources.get(heartbeat.actor)
    if (known && known.since !== heartbeat.since) {
      const reason = `${heartbeat.actor} has made its replication slot anew`
      if (!this.#gaps.has(heartbeat.actor)) {
        this.#options.logger.error({ actor: heartbeat.actor, reason }, 'events may be missing')
      }
      await transaction.recordGap(this.#topic.clusterId, heartbeat.actor, reason)
      this.#gaps.add(heartbeat.actor)
    }
    const bounds = narrowOffset(known?.bounds ?? { lower: null, upper: null }, {
      sentAt: heartbeat.t,
      arrivedAt,
      echoedAt: heartbeat.applied[this.#options.actor]?.t,
    })
    this.#sources.set(heartbeat.actor, { since: known?.since ?? heartbeat.since, bounds })
    await transaction.storeSource(this.#topic.clusterId, heartbeat, bounds)
  }

  /** The finding is stored with the offsets that pass it. */
  async #checkOwn(
    transaction: MergeTransaction,
    ownHeartbeats: readonly Heartbeat[],
  ): Promise<string | undefined> {
    if (ownHeartbeats.length === 0) return undefined
    const restored = findRestored(ownHeartbeats, await transaction.readOwnPosition())
    if (restored) await transaction.refuseWrites(restored)
    return restored
  }

  #count(counts: MergeCounts, poison: readonly QuarantinedRecord[]): void {
    const { metrics, logger } = this.#options
    metrics.applied.inc(counts.applied)
    metrics.merged.inc(counts.merged)
    metrics.duplicates.inc(counts.duplicates)
    for (const { kind } of counts.conflicts) metrics.conflicts.inc({ kind })
    metrics.quarantined.inc(poison.length)
    for (const { partition, offset, reason } of poison) {
      logger.error({ partition, offset: String(offset), reason }, 'record quarantined')
    }
  }
}

/** Classes 22 (data exception) and 23 (constraint violation) blame the content, not the moment. */
function isContentError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && /^2[23]/.test(String(error.code))
}
