/**
 * The statements of a merge, on a simulated database: each decides what the file of its name in `backend/src/postgres/`
 * decides, and locks what that locks, in its order.
 */

import { joinAcceptances, type Claim } from '../backend/src/domain/claim.ts'
import { conflictsToStore } from '../backend/src/domain/conflict.ts'
import type { Heartbeat } from '../backend/src/domain/event.ts'
import type { OffsetBounds } from '../backend/src/domain/lag.ts'
import { dominates, regionOf } from '../backend/src/domain/stamp.ts'
import { FencedError, type OffsetAdvance, type TopicIdentity } from '../backend/src/postgres/kafka-offsets.ts'
import { parseLsn } from '../backend/src/postgres/lsn.ts'
import { eventPrefix } from '../backend/src/postgres/message-prefix.ts'
import type { MergeTransaction } from '../backend/src/replication/ports.ts'
import { unstorableTitle, type SimulatedDatabase } from './database.ts'
import { DatabaseError, type Transaction } from './transactions.ts'

const applierLockWaitMs = 2000

/** The statements of an open transaction. */
export function mergeStatements(database: SimulatedDatabase, transaction: Transaction): MergeTransaction {
  const lock = (key: string): Promise<void> => database.lock(transaction, key, applierLockWaitMs)
  const lockAll = async (table: string, keys: readonly (number | string)[]): Promise<void> => {
    for (const key of keys) await lock(`${table}/${key}`)
  }
  return {
    advanceOffsets: (topic, advances) => advanceOffsets(database, transaction, topic, advances),
    mergeStates: async ({ items }) => {
      const ordered = items.toSorted((a, b) => a.id - b.id)
      await lockAll(
        'property',
        ordered.map(({ id }) => id),
      )
      const stored = new Set<number>()
      for (const state of ordered) {
        if (state.fields.title === unstorableTitle) throw new DatabaseError('22P05', 'not storable')
        const known = transaction.get(database.properties, state.id)
        if (known && dominates(known.vector, state.vector)) continue
        if (known && !dominates(state.vector, known.vector)) continue
        transaction.set(database.properties, state.id, state)
        stored.add(state.id)
      }
      return stored
    },
    lockStates: async (ids) => {
      const ordered = ids.toSorted((a, b) => a - b)
      await lockAll('property', ordered)
      return ordered.flatMap((id) => transaction.get(database.properties, id) ?? [])
    },
    mergeClaims: async ({ items }) => {
      const ordered = items.toSorted((a, b) => (a.request_id < b.request_id ? -1 : 1))
      await lockAll(
        'claim',
        ordered.map((claim) => claim.request_id),
      )
      return ordered.flatMap((claim) => mergeClaim(database, transaction, claim))
    },
    readClaims: (requestIds) =>
      Promise.resolve(
        new Map(
          requestIds.flatMap((id): [string, Claim][] => {
            const claim = transaction.get(database.claims, id)
            return claim ? [[id, claim]] : []
          }),
        ),
      ),
    mergeConflicts: async (records) => {
      await lockAll('conflict', records.map(({ id }) => id).toSorted())
      const known = records.flatMap(({ id }) => transaction.get(database.conflicts, id) ?? [])
      const changed = conflictsToStore(known, records)
      for (const record of changed) transaction.set(database.conflicts, record.id, record)
      return changed
    },
    emitEvents: (events) => {
      for (const event of events) database.emit(transaction, event.text, eventPrefix(event))
      if (transaction.xid !== undefined)
        database.lastEventXid = Math.max(database.lastEventXid, transaction.xid)
      return Promise.resolve()
    },
    quarantineRecord: ({ topicId }, { partition, offset, reason }) => {
      transaction.set(database.quarantine, `${topicId}/${partition}/${offset}`, reason)
      return Promise.resolve()
    },
    storeSource: (clusterId, heartbeat, bounds) =>
      storeSource(database, transaction, clusterId, heartbeat, bounds),
    mergeMarks: (delivered) => {
      for (const { heartbeat, partition } of delivered) mergeMark(database, transaction, heartbeat, partition)
      return Promise.resolve()
    },
    readOwnPosition: () => Promise.resolve(database.readOwnPosition()),
    refuseWrites: async (reason) => {
      await lock('incarnation')
      transaction.set(
        database.incarnation,
        'refused',
        transaction.get(database.incarnation, 'refused') ?? reason,
      )
    },
    recordGap: (clusterId, actor, reason) => {
      const key = `${clusterId}/${actor}`
      if (!transaction.get(database.gaps, key)) transaction.set(database.gaps, key, reason)
      return Promise.resolve()
    },
  }
}

async function advanceOffsets(
  database: SimulatedDatabase,
  transaction: Transaction,
  { topicId }: TopicIdentity,
  advances: ReadonlyMap<number, OffsetAdvance>,
): Promise<number> {
  for (const [partition, { from, to }] of advances) {
    const key = `${topicId}/${partition}`
    await database.lock(transaction, `offset/${key}`, applierLockWaitMs)
    if (transaction.get(database.offsets, key) !== from) {
      throw new FencedError('another applier has advanced these offsets')
    }
    transaction.set(database.offsets, key, to)
  }
  return database.clock
}

function mergeClaim(database: SimulatedDatabase, transaction: Transaction, claim: Claim): readonly Claim[] {
  const known = transaction.get(database.claims, claim.request_id)
  const acceptances = joinAcceptances(known?.acceptances ?? [], claim.acceptances)
  if (known && acceptances.length === known.acceptances.length) return []
  const united = { request_id: claim.request_id, acceptances }
  transaction.set(database.claims, claim.request_id, united)
  return acceptances.length > 1 ? [united] : []
}

function storeSource(
  database: SimulatedDatabase,
  transaction: Transaction,
  clusterId: string,
  heartbeat: Heartbeat,
  { lower, upper }: OffsetBounds,
): Promise<void> {
  const { actor, partitions, since, t, applied } = heartbeat
  const source = {
    actor,
    region: regionOf(actor),
    since: transaction.get(database.sources, actor)?.source.since ?? since,
    heartbeat_at: t,
    offset_lower: lower,
    offset_upper: upper,
    applied,
  }
  transaction.set(database.sources, actor, { source, partitions, clusterId })
  const arrivedAt = database.clock
  transaction.onCommit.push(() => database.observer.onHeartbeat(database.region, heartbeat, arrivedAt))
  return Promise.resolve()
}

function mergeMark(
  database: SimulatedDatabase,
  transaction: Transaction,
  { actor, lsn, xmin, t }: Heartbeat,
  partition: number,
): void {
  const key = `${actor}/${partition}`
  const known = transaction.get(database.marks, key)
  if (known && parseLsn(known.mark.lsn) >= parseLsn(lsn)) return
  transaction.set(database.marks, key, { actor, partition, mark: { lsn, xmin, t } })
}
