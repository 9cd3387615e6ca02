/**
 * What relay and applier need of the world: the region's database, its WAL, and the log that regions share.
 *
 * Invariant: no decision is taken behind these interfaces beyond what their documentation says, so whoever implements
 * them runs the real replication. `postgres/` and `kafka/` do it for real, `simulation/` in memory; `app.ts` binds.
 */

import type { Claim } from '../domain/claim.ts'
import type { ConflictRecord } from '../domain/conflict.ts'
import type { Heartbeat } from '../domain/event.ts'
import type { OffsetBounds, Source } from '../domain/lag.ts'
import type { PropertyState } from '../domain/property.ts'
import type { OutgoingRecord } from '../kafka/publisher.ts'
import type { IncomingRecord } from '../kafka/reader.ts'
import type { TopicDescription } from '../kafka/topic.ts'
import type { EncodedEvent } from '../postgres/emit-events.ts'
import type { Encoded } from '../postgres/encoded.ts'
import type { HeartbeatOrigin } from '../postgres/emit-heartbeat.ts'
import type { OffsetAdvance, TopicIdentity } from '../postgres/kafka-offsets.ts'
import type { DeliveredHeartbeat } from '../postgres/merge-marks.ts'
import type { QuarantinedRecord } from '../postgres/quarantine-record.ts'
import type { FrameSink, StreamControl } from '../postgres/replication-stream.ts'
import type { PartitionRange } from './find-gaps.ts'
import type { OwnPosition } from './find-restored.ts'

/**
 * What an applier does inside the transaction that merges a batch; see the files in `postgres/` of these names. The database
 * runs what is asked for in the order in which it is asked, also before the answers are there.
 */
export interface MergeTransaction {
  /** The database's clock, µs. @throws {FencedError} if a partition is not where this applier left it. */
  advanceOffsets(topic: TopicIdentity, advances: ReadonlyMap<number, OffsetAdvance>): Promise<number>
  /** Stores the states that dominate what is there; locks all of them. Returns the ids that were stored. */
  mergeStates(states: Encoded<PropertyState>): Promise<ReadonlySet<number>>
  lockStates(ids: readonly number[]): Promise<readonly PropertyState[]>
  /** Unites claims with what is there. Returns those that grew beyond what was there. */
  mergeClaims(claims: Encoded<Claim>): Promise<readonly Claim[]>
  readClaims(requestIds: readonly string[]): Promise<ReadonlyMap<string, Claim>>
  /** Returns the records that were added or changed, as they are now. */
  mergeConflicts(records: readonly ConflictRecord[]): Promise<readonly ConflictRecord[]>
  /** Writes events to the WAL: they exist exactly if the transaction commits. */
  emitEvents(events: readonly EncodedEvent[]): Promise<void>
  quarantineRecord(topic: TopicIdentity, record: QuarantinedRecord): Promise<void>
  storeSource(clusterId: string, heartbeat: Heartbeat, bounds: OffsetBounds): Promise<void>
  /** Marks only grow. */
  mergeMarks(delivered: readonly DeliveredHeartbeat[]): Promise<void>
  recordGap(clusterId: string, actor: string, reason: string): Promise<void>
  readOwnPosition(): Promise<OwnPosition>
  /** Keeps this database from accepting writes, for good. The first reason stays. */
  refuseWrites(reason: string): Promise<void>
}

/** One session of an applier. While it is frozen the database may end it, and with it its lock and transaction. */
export interface MergeSession {
  /** Resolves with the reason when the session has ended. */
  readonly lost: Promise<Error>
  /** Whether this session is now the only applier of the cluster. */
  tryLock(cluster: string): Promise<boolean>
  ping(): Promise<void>
  readOffsets(topic: TopicIdentity): Promise<{ offsets: ReadonlyMap<number, bigint>; topicReplaced: boolean }>
  setOffsets(topic: TopicIdentity, offsets: ReadonlyMap<number, bigint>): Promise<void>
  readSources(): Promise<{ sources: readonly Source[]; now: number }>
  readGaps(clusterId: string): Promise<ReadonlyMap<string, string>>
  recordGap(clusterId: string, actor: string, reason: string): Promise<void>
  readOwnPosition(): Promise<OwnPosition>
  /** Keeps this database from accepting writes, for good. The first reason stays. */
  refuseWrites(reason: string): Promise<void>
  /** Commits what `work` does, or nothing of it if `work` throws. */
  transaction<T>(work: (transaction: MergeTransaction) => Promise<T>): Promise<T>
  close(): void
}

/** The region's WAL as a source of events. */
export interface ReplicationSource {
  /**
   * Streams from the slot's confirmed position into `sink`.
   *
   * @throws {SlotBusyError} while another session streams from it.
   */
  open(sink: FrameSink): Promise<ReplicationFeed>
  /** Begins a relay's run and returns it, `id@LSN`; the LSN lies after every heartbeat of the runs before. */
  beginRun(): Promise<string>
  /** Returns whether anybody streams from the slot. @throws {SupersededError} if another run has begun. */
  emitHeartbeat(heartbeat: HeartbeatOrigin): Promise<boolean>
}

export interface ReplicationFeed extends StreamControl {
  /** Resolves with the reason when the stream has ended. */
  readonly ended: Promise<Error>
  close(): void
}

/** One Kafka cluster's topic. */
export interface EventLog {
  /** Names the cluster in locks, metrics and logs. */
  readonly cluster: string
  /** Describes the topic, and makes it first if it is not there. */
  ensureTopic(): Promise<TopicDescription>
  openPublisher(): EventPublisher
  openReader(topic: TopicDescription): EventReader
}

export interface EventPublisher {
  /** Resolves when the log has the records. @throws if it may not have all of them. */
  send(records: readonly OutgoingRecord[]): Promise<void>
  close(): Promise<void>
}

export interface EventReader {
  ranges(): Promise<readonly PartitionRange[]>
  start(offsets: ReadonlyMap<number, bigint>): void
  /** Number of records that wait to be taken. */
  readonly queued: number
  /** Takes what is there, at most `max` records, and waits while there is nothing. Empty once closed. */
  take(max: number): Promise<readonly IncomingRecord[]>
  close(): Promise<void>
}
