/**
 * The applier: from Kafka into the region's database.
 *
 * Invariant: rows, claims, conflict records, marks and offsets of a batch commit in one transaction, whose first
 * statement compares the offsets with where this applier left them. So every event takes effect, and a frozen applier
 * that resumes finds that it was replaced. A record that cannot be merged goes to the quarantine and never blocks.
 *
 * An advisory lock admits one applier per Kafka cluster; the others stand by and try again every 250 ms.
 */

import type { Logger } from 'pino'
import type pg from 'pg'
import type { Heartbeat } from '../domain/event.ts'
import { narrowOffset, type OffsetBounds } from '../domain/lag.ts'
import { Reader, type IncomingRecord } from '../kafka/reader.ts'
import { ensureTopic, type TopicDescription, type TopicSettings } from '../kafka/topic.ts'
import { connect } from '../postgres/pool.ts'
import { parseLsn } from '../postgres/lsn.ts'
import { everyActor, readGaps, recordGap } from '../postgres/gaps.ts'
import { advanceOffsets, readOffsets, setOffsets, type TopicIdentity } from '../postgres/kafka-offsets.ts'
import { mergeMarks, storeSource, type DeliveredHeartbeat } from '../postgres/merge-marks.ts'
import { quarantineRecord, type QuarantinedRecord } from '../postgres/quarantine-record.ts'
import { readSources } from '../postgres/read-sources.ts'
import type { Metrics } from '../runtime/metrics.ts'
import { aborted, sleep, type Service } from '../runtime/service.ts'
import { BatchSize } from './batch-size.ts'
import { decodeBatch } from './decode.ts'
import { findGaps } from './find-gaps.ts'
import { foldEvents } from './fold.ts'
import { mergeBatch, type MergeCounts } from './merge-batch.ts'

const standbyPollMs = 250
const pingIntervalMs = 2000
/** First key of the advisory lock; the second is a hash of the cluster's brokers. */
const applierLockClass = 7_140_002

/** A frozen applier loses its session, and with it the lock and all row locks. */
const sessionSettings = [
  'idle_session_timeout=5000',
  'idle_in_transaction_session_timeout=3000',
  'client_connection_check_interval=1000',
  'lock_timeout=2000',
  'statement_timeout=20000',
]
  .map((setting) => `-c ${setting}`)
  .join(' ')

export interface ApplierOptions {
  readonly databaseUrl: string
  readonly actor: string
  readonly topic: TopicSettings
  readonly metrics: Metrics
  readonly log: Logger
  /** ms since the epoch. */
  readonly now: () => number
  /** This actor's WAL is behind what it has published: the database was restored. */
  readonly onRestored: (detail: string) => void
}

export class Applier implements Service {
  readonly id: string
  readonly #options: ApplierOptions

  constructor(options: ApplierOptions) {
    this.#options = options
    this.id = `applier of ${options.topic.brokers}`
  }

  async run(signal: AbortSignal): Promise<void> {
    const { databaseUrl, topic, metrics } = this.#options
    const { client, lost } = await connect(databaseUrl, {
      application_name: 'meridian-applier',
      options: sessionSettings,
      query_timeout: 25_000,
    })
    const stop = new AbortController()
    const stopped = AbortSignal.any([signal, stop.signal])
    try {
      const failure = await Promise.race([lost, this.#applyWhenLocked(client, stopped), aborted(signal)])
      if (failure) throw failure
    } finally {
      stop.abort()
      metrics.applierActive.set({ cluster: topic.brokers }, 0)
      void client.end().catch(() => {})
    }
  }

  async #applyWhenLocked(client: pg.Client, signal: AbortSignal): Promise<undefined> {
    const { topic, metrics, log } = this.#options
    while (!(await tryLock(client, topic.brokers))) {
      await sleep(standbyPollMs, signal)
      if (signal.aborted) return
    }
    const described = await ensureTopic(topic)
    const reader = new Reader(topic.brokers, described)
    try {
      const positions = await this.#beginReading(client, reader, described)
      reader.start(positions)
      metrics.applierActive.set({ cluster: topic.brokers }, 1)
      log.info({ topic: described.topic, topic_id: described.topicId }, 'applier reads')
      const merger = await BatchMerger.create(client, described, this.#options)
      await this.#applyAll(client, reader, merger, positions, signal)
    } finally {
      void reader.close().catch(() => {})
    }
  }

  /** Where to continue, after recording what may be missing in between. */
  async #beginReading(client: pg.Client, reader: Reader, topic: TopicIdentity): Promise<Map<number, bigint>> {
    const { offsets, topicReplaced } = await readOffsets(client, topic)
    const { positions, gap } = findGaps(await reader.ranges(), offsets, topicReplaced)
    if (gap) {
      this.#options.log.error({ topic_id: topic.topicId, reason: gap }, 'events may be missing')
      await recordGap(client, topic.clusterId, everyActor, gap)
    }
    await setOffsets(client, topic, positions)
    return positions
  }

  async #applyAll(
    client: pg.Client,
    reader: Reader,
    merger: BatchMerger,
    positions: Map<number, bigint>,
    signal: AbortSignal,
  ): Promise<void> {
    const { now } = this.#options
    const size = new BatchSize()
    const ended = aborted(signal).then(() => reader.close())
    while (!signal.aborted) {
      const records = await takeWithPings(client, reader, size.max)
      if (records.length === 0) continue
      const beganAt = now()
      await merger.merge(records, positions)
      size.learn(records.length, now() - beganAt)
    }
    await ended
  }
}

/** Waits for records; the session must not look idle meanwhile. */
async function takeWithPings(
  client: pg.Client,
  reader: Reader,
  max: number,
): Promise<readonly IncomingRecord[]> {
  const taken = reader.take(max)
  for (;;) {
    const timer = new AbortController()
    const records = await Promise.race([taken, sleep(pingIntervalMs, timer.signal)])
    timer.abort()
    if (records) return records
    await client.query('SELECT 1')
  }
}

async function tryLock(client: pg.Client, brokers: string): Promise<boolean> {
  const { rows } = await client.query<{ locked: boolean }>(
    'SELECT pg_try_advisory_lock($1, hashtext($2)) AS locked',
    [applierLockClass, brokers],
  )
  return rows[0]?.locked ?? false
}

/** Merges batches on one session; keeps in memory what the session has read of its sources. */
class BatchMerger {
  readonly #client: pg.Client
  readonly #topic: TopicDescription
  readonly #options: ApplierOptions
  readonly #sources: Map<string, { since: string; bounds: OffsetBounds }>
  readonly #gaps: Set<string>

  private constructor(
    client: pg.Client,
    topic: TopicDescription,
    options: ApplierOptions,
    known: { sources: Map<string, { since: string; bounds: OffsetBounds }>; gaps: Set<string> },
  ) {
    this.#client = client
    this.#topic = topic
    this.#options = options
    this.#sources = known.sources
    this.#gaps = known.gaps
  }

  static async create(
    client: pg.Client,
    topic: TopicDescription,
    options: ApplierOptions,
  ): Promise<BatchMerger> {
    const { sources } = await readSources(client)
    const gaps = new Set((await readGaps(client, topic.clusterId)).keys())
    return new BatchMerger(client, topic, options, {
      sources: new Map(
        sources.map(({ actor, since, offset_lower: lower, offset_upper: upper }) => [
          actor,
          { since, bounds: { lower, upper } },
        ]),
      ),
      gaps,
    })
  }

  /** Merges a batch and moves `positions`; record by record if the database refuses the batch for its content. */
  async merge(records: readonly IncomingRecord[], positions: Map<number, bigint>): Promise<void> {
    try {
      await this.#mergeTogether(records, positions, [])
    } catch (error) {
      if (!isContentError(error)) throw error
      if (records.length > 1) {
        for (const record of records) await this.merge([record], positions)
        return
      }
      const poison = records.map(({ partition, offset, value }) => ({
        partition,
        offset,
        payload: value,
        reason: String(error),
      }))
      await this.#mergeTogether(records, positions, poison)
    }
  }

  async #mergeTogether(
    records: readonly IncomingRecord[],
    positions: Map<number, bigint>,
    refused: readonly QuarantinedRecord[],
  ): Promise<void> {
    const decoded = decodeBatch(records, this.#options.actor, positions)
    const folded = foldEvents(refused.length > 0 ? [] : decoded.events)
    const poison = [...decoded.poison, ...refused]
    const counts = await inTransaction(this.#client, async () => {
      const arrivedAt = await advanceOffsets(this.#client, this.#topic, decoded.advances)
      const merged = await mergeBatch(this.#client, this.#options.actor, folded)
      for (const record of poison) await quarantineRecord(this.#client, this.#topic, record)
      await this.#storeHeartbeats(decoded.heartbeats, arrivedAt)
      return merged
    })
    for (const [partition, { to }] of decoded.advances) positions.set(partition, to)
    this.#count(counts, poison)
    if (decoded.ownHeartbeat) await this.#checkOwn(decoded.ownHeartbeat)
  }

  async #storeHeartbeats(delivered: readonly DeliveredHeartbeat[], arrivedAt: number): Promise<void> {
    const newest = new Map<string, Heartbeat>()
    for (const { heartbeat } of delivered) {
      const known = newest.get(heartbeat.actor)
      if (!known || heartbeat.t > known.t) newest.set(heartbeat.actor, heartbeat)
    }
    for (const heartbeat of newest.values()) {
      if (heartbeat.partitions > this.#topic.leaders.length) {
        throw new Error(`the topic has ${heartbeat.partitions} partitions by now`)
      }
      await this.#storeSource(heartbeat, arrivedAt)
    }
    const frozen = (actor: string): boolean => this.#gaps.has(everyActor) || this.#gaps.has(actor)
    await mergeMarks(
      this.#client,
      delivered.filter(({ heartbeat }) => !frozen(heartbeat.actor)),
    )
  }

  /** `arrivedAt` is the database's clock in µs, as all times of the lag arithmetic are. */
  async #storeSource(heartbeat: Heartbeat, arrivedAt: number): Promise<void> {
    const known = this.#sources.get(heartbeat.actor)
    if (known && known.since !== heartbeat.since) {
      const reason = `${heartbeat.actor} has made its replication slot anew`
      if (!this.#gaps.has(heartbeat.actor)) {
        this.#options.log.error({ actor: heartbeat.actor, reason }, 'events may be missing')
      }
      await recordGap(this.#client, this.#topic.clusterId, heartbeat.actor, reason)
      this.#gaps.add(heartbeat.actor)
    }
    const bounds = narrowOffset(known?.bounds ?? { lower: null, upper: null }, {
      sentAt: heartbeat.t,
      arrivedAt,
      echoedAt: heartbeat.applied[this.#options.actor]?.t,
    })
    this.#sources.set(heartbeat.actor, { since: known?.since ?? heartbeat.since, bounds })
    await storeSource(this.#client, this.#topic.clusterId, heartbeat, bounds)
  }

  /** A heartbeat of ours from beyond the end of our WAL was published by a database that this one is older than. */
  async #checkOwn({ lsn, actor }: Heartbeat): Promise<void> {
    const { rows } = await this.#client.query<{ lsn: string }>(
      'SELECT pg_current_wal_insert_lsn()::text AS lsn',
    )
    const current = rows[0]?.lsn ?? '0/0'
    if (parseLsn(current) >= parseLsn(lsn)) return
    this.#options.onRestored(
      `${actor} has published up to ${lsn}, but its WAL ends at ${current}: the database was restored to an earlier state`,
    )
  }

  #count(counts: MergeCounts, poison: readonly QuarantinedRecord[]): void {
    const { metrics, log } = this.#options
    metrics.applied.inc(counts.applied)
    metrics.merged.inc(counts.merged)
    metrics.duplicates.inc(counts.duplicates)
    for (const { kind } of counts.conflicts) metrics.conflicts.inc({ kind })
    metrics.quarantined.inc(poison.length)
    for (const { partition, offset, reason } of poison) {
      log.error({ partition, offset: String(offset), reason }, 'record quarantined')
    }
  }
}

/** Classes 22 (data exception) and 23 (constraint violation) blame the content, not the moment. */
function isContentError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && /^2[23]/.test(String(error.code))
}

async function inTransaction<T>(client: pg.ClientBase, work: () => Promise<T>): Promise<T> {
  await client.query('BEGIN')
  try {
    const result = await work()
    await client.query('COMMIT')
    return result
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {}) // the session is gone too, and its transaction with it
    throw error
  }
}
