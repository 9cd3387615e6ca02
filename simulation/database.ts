/**
 * A simulated database of a region.
 *
 * Invariant: what it holds changes by committed transactions only, which take rows, messages and observers together. The
 * statements that it runs are in files of their own: they decide what those in `backend/src/postgres/` decide, by the
 * domain's own functions; `database.pg.test.ts` holds the two equal. All the rest, what to do in which order, is the
 * real code on the other side of `MergeSession` and `ReplicationSource`.
 */

import type { Acceptance, Claim } from '../backend/src/domain/claim.ts'
import type { ConflictRecord } from '../backend/src/domain/conflict.ts'
import type { Heartbeat, Mark } from '../backend/src/domain/event.ts'
import type { KnownIncarnation } from '../backend/src/domain/incarnation.ts'
import type { Source } from '../backend/src/domain/lag.ts'
import type { PropertyState } from '../backend/src/domain/property.ts'
import type { WriteRequest } from '../backend/src/domain/write.ts'
import type { TopicIdentity } from '../backend/src/postgres/kafka-offsets.ts'
import { messagePrefix } from '../backend/src/postgres/message-prefix.ts'
import { formatLsn, parseLsn } from '../backend/src/postgres/lsn.ts'
import type { OwnPosition } from '../backend/src/replication/find-restored.ts'
import type { Random } from './random.ts'
import type { Scheduler } from './scheduler.ts'
import { DatabaseError, Locks, Table, Transaction } from './transactions.ts'
import { Wal } from './wal.ts'

/** A title that PostgreSQL would not store, though the event's schema allows it. */
export const unstorableTitle = 'unstorable'

/** Simulated times are µs since this one. */
export const epoch = 1_790_000_000_000_000

/** `statement_timeout`. */
export const statementMaxMs = 400
/** Longest statement of a relay. */
export const serviceStatementMaxMs = 3000
/** The flush of a commit, µs. */
export const flushUs = [50, 3000] as const

export interface MarkRow {
  readonly actor: string
  readonly partition: number
  readonly mark: Mark
}
export interface SourceRow {
  readonly source: Omit<Source, 'watermark' | 'gap'>
  readonly partitions: number
  readonly clusterId: string
}

/** A write that was accepted, as the database saw it. */
export interface AcceptedWrite {
  readonly region: string
  readonly xid: number
  readonly request: WriteRequest
  readonly before: PropertyState
  readonly after: PropertyState
  readonly acceptance: Acceptance
}

export interface Observer {
  onAccepted(write: AcceptedWrite): void
  onRow(region: string, before: PropertyState | undefined, after: PropertyState): void
  onConfirmed(region: string, lsn: bigint): void
  /** A heartbeat of another actor was merged; times of this database's clock. */
  onHeartbeat(region: string, heartbeat: Heartbeat, arrivedAt: number): void
  /** A merge's statement came when its transaction was over. PostgreSQL would commit it alone. */
  onStray(region: string, statement: string): void
}

export interface DatabaseOptions {
  readonly region: string
  /** µs by which its clock is ahead at first. */
  readonly skew: number
  readonly seeds: readonly PropertyState[]
  readonly scheduler: Scheduler
  readonly random: Random
  readonly observer: Observer
}

export class SimulatedDatabase {
  readonly region: string
  readonly actor: string
  /** µs by which its clock is ahead at present. */
  skew: number
  readonly wal: Wal
  readonly properties = new Table<number, PropertyState>('property')
  readonly claims = new Table<string, Claim>('claim')
  readonly conflicts = new Table<string, ConflictRecord>('conflict')
  readonly offsets = new Table<string, bigint>('offset')
  readonly marks = new Table<string, MarkRow>('mark')
  readonly sources = new Table<string, SourceRow>('source')
  readonly gaps = new Table<string, string>('gap')
  readonly quarantine = new Table<string, string>('quarantine')
  /** Columns of the one row of this name: `run` and `refused`. */
  readonly incarnation = new Table<'run' | 'refused', string>('incarnation')
  readonly #options: DatabaseOptions
  readonly #locks: Locks
  readonly #active = new Set<Transaction>()
  nextXid = 100
  /** Relays' runs that have begun. */
  runs = 0
  /** Newest transaction that emitted an event, and not only a heartbeat. */
  lastEventXid = 0
  up = true

  constructor(options: DatabaseOptions) {
    this.#options = options
    this.region = options.region
    this.actor = `${options.region}.a1`
    this.skew = options.skew
    this.#locks = new Locks(options.scheduler)
    this.wal = new Wal({
      scheduler: options.scheduler,
      random: options.random,
      onConfirm: (lsn) => options.observer.onConfirmed(this.region, lsn),
    })
    for (const seed of options.seeds) this.properties.committed.set(seed.id, seed)
  }

  get observer(): Observer {
    return this.#options.observer
  }

  /** This database's clock, µs since the epoch. */
  get clock(): number {
    return epoch + this.#options.scheduler.now + this.skew
  }

  identity(): KnownIncarnation {
    const { actor, region } = this
    return {
      actor,
      region,
      slot: `slot_${region}`,
      since: '0/1000',
      same_system: true,
      same_timeline: true,
      wal_status: 'reserved',
      refused: this.incarnation.committed.get('refused') ?? null,
    }
  }

  // Transactions

  begin(): Transaction {
    const transaction = new Transaction()
    this.#active.add(transaction)
    return transaction
  }

  rollback(transaction: Transaction): void {
    transaction.ended = true
    this.#active.delete(transaction)
    this.#locks.release(transaction)
  }

  commit(transaction: Transaction): void {
    this.#check(transaction)
    if (transaction.xid !== undefined) this.wal.append(transaction.xid, transaction.messages)
    const rows = transaction.changes.get(this.properties) ?? new Map()
    for (const [id, after] of rows as Map<number, PropertyState>) {
      this.#options.observer.onRow(this.region, this.properties.committed.get(id), after)
    }
    for (const [table, changes] of transaction.changes) {
      for (const [key, value] of changes) table.committed.set(key, value)
    }
    for (const tell of transaction.onCommit) tell()
    this.rollback(transaction)
  }

  /** Everything that has not committed is gone, and some of what was confirmed. */
  crash(): void {
    this.up = false
    for (const transaction of this.#active) this.rollback(transaction)
    this.wal.crash()
  }

  #check(transaction: Transaction): void {
    if (transaction.ended) throw new DatabaseError('57P01', 'the session was ended')
    this.checkUp()
  }

  checkUp(): void {
    if (!this.up) throw new DatabaseError('57P03', 'the database is down')
  }

  assignXid(transaction: Transaction): number {
    transaction.xid ??= this.nextXid++
    return transaction.xid
  }

  /** The oldest transaction id that may still be running. */
  xmin(): number {
    let xmin = this.nextXid
    for (const { xid } of this.#active) if (xid !== undefined && xid < xmin) xmin = xid
    return xmin
  }

  isLockedByOther(transaction: Transaction, key: string): boolean {
    return this.#locks.isHeldByOther(transaction, key)
  }

  async lock(transaction: Transaction, key: string, waitMs: number): Promise<void> {
    this.#check(transaction)
    this.assignXid(transaction)
    await this.#locks.acquire(transaction, key, waitMs)
    this.#check(transaction)
  }

  async pause(transaction: Transaction, [least, most]: readonly [number, number]): Promise<void> {
    await this.#options.scheduler.pause(this.#options.random.between(least, most))
    this.#check(transaction)
  }

  emit(transaction: Transaction, text: string, prefix = messagePrefix): void {
    this.assignXid(transaction)
    this.wal.reserve(text.length + 40)
    transaction.messages.push({ prefix, text })
  }

  // Watermarks

  /** `watermarksSql`: the least mark of all partitions, none while one of them is missing. */
  watermarkOf(actor: string): Mark | null {
    const partitions = this.sources.committed.get(actor)?.partitions ?? 0
    const marks = [...this.marks.committed.values()].filter(
      (row) => row.actor === actor && row.partition < partitions,
    )
    if (partitions === 0 || marks.length < partitions) return null
    const least = (of: (mark: Mark) => bigint): bigint =>
      marks.map(({ mark }) => of(mark)).reduce((a, b) => (b < a ? b : a))
    return {
      lsn: formatLsn(least(({ lsn }) => parseLsn(lsn))),
      xmin: String(least(({ xmin }) => BigInt(xmin))),
      t: Math.min(...marks.map(({ mark }) => mark.t)),
    }
  }

  readSources(): { sources: readonly Source[]; now: number } {
    const sources = [...this.sources.committed.values()].map(({ clusterId, source }): Source => ({
      ...source,
      watermark: this.watermarkOf(source.actor),
      gap:
        this.gaps.committed.get(`${clusterId}/`) ??
        this.gaps.committed.get(`${clusterId}/${source.actor}`) ??
        null,
    }))
    return { sources, now: this.clock }
  }

  readOwnPosition(): OwnPosition {
    return { run: this.incarnation.committed.get('run') ?? null, walEnd: formatLsn(this.wal.end) }
  }

  readOffsets({ topicId }: TopicIdentity): { offsets: ReadonlyMap<number, bigint>; topicReplaced: boolean } {
    const offsets = [...this.offsets.committed].flatMap(([key, offset]): [number, bigint][] => {
      const [topic, partition] = key.split('/')
      return topic === topicId ? [[Number(partition), offset]] : []
    })
    return {
      offsets: new Map(offsets),
      topicReplaced: offsets.length === 0 && this.offsets.committed.size > 0,
    }
  }

  readGaps(clusterId: string): ReadonlyMap<string, string> {
    return new Map(
      [...this.gaps.committed].flatMap(([key, reason]): [string, string][] =>
        key.startsWith(`${clusterId}/`) ? [[key.slice(clusterId.length + 1), reason]] : [],
      ),
    )
  }
}
