/**
 * Merges one batch of events into the database, inside the transaction that the caller has opened.
 *
 * Invariant: the fast path only replaces rows that have seen nothing new to the incoming state; every other property
 * goes through the domain's join under its row's lock, so the merge law exists once. Locks are taken rows first, in
 * the order of their ids, then claims, in the order of their request ids, as in a client's write.
 */

import type pg from 'pg'
import {
  classifyConflict,
  conflictsOfClaim,
  joinConflicts,
  type ConflictRecord,
} from '../domain/conflict.ts'
import { encodePropertyEvent } from '../domain/event.ts'
import { detectConflicts, joinStates } from '../domain/merge.ts'
import type { PropertyState } from '../domain/property.ts'
import { dominates } from '../domain/stamp.ts'
import { emitEvents } from '../postgres/emit-events.ts'
import { lockStates } from '../postgres/lock-states.ts'
import { mergeClaims, readClaims } from '../postgres/merge-claims.ts'
import { mergeConflicts } from '../postgres/merge-conflicts.ts'
import { mergeStates } from '../postgres/merge-states.ts'
import type { FoldedBatch, FoldedProperty } from './fold.ts'

export interface MergeCounts {
  /** Stored as they came, or known already. */
  readonly applied: number
  /** Joined with a concurrent local state. */
  readonly merged: number
  /** Brought nothing new. */
  readonly duplicates: number
  /** Conflict records that were added or changed. */
  readonly conflicts: readonly ConflictRecord[]
}

/** `actor` is this region's: records that are new here are emitted in its name. */
export async function mergeBatch(client: pg.ClientBase, actor: string, batch: FoldedBatch): Promise<MergeCounts> {
  const folded = [...batch.properties.values()].sort((a, b) => a.state.id - b.state.id)
  const stored = await mergeStates(
    client,
    folded.map(({ state }) => state),
  )
  const grownClaims = await mergeClaims(client, batch.claims)
  const twins = await mergeConflicts(client, grownClaims.flatMap(conflictsOfClaim))
  const rest = folded.filter(({ state, conflicts }) => conflicts.length > 0 || !stored.has(state.id))
  const slow = await mergeSlowly(client, actor, rest)
  return {
    applied: folded.length - slow.merged,
    merged: slow.merged,
    duplicates: slow.duplicates,
    conflicts: [...twins, ...slow.conflicts],
  }
}

interface Joined {
  readonly before: PropertyState
  readonly after: PropertyState
  readonly incoming: FoldedProperty
  readonly conflicts: readonly ConflictRecord[]
}

async function mergeSlowly(
  client: pg.ClientBase,
  actor: string,
  rest: readonly FoldedProperty[],
): Promise<{ merged: number; duplicates: number; conflicts: readonly ConflictRecord[] }> {
  if (rest.length === 0) return { merged: 0, duplicates: 0, conflicts: [] }
  const incomingById = new Map(rest.map((property) => [property.state.id, property]))
  const locked = await lockStates(client, [...incomingById.keys()])
  const joined = locked.map((before): Joined => {
    const incoming = incomingById.get(before.id) as FoldedProperty
    const after = joinStates(before, incoming.state)
    return {
      before,
      after,
      incoming,
      conflicts: joinConflicts(incoming.conflicts, detectConflicts(before, incoming.state)),
    }
  })
  // A joined state dominates the row that it was joined from, so the fast path's statement stores it.
  await mergeStates(
    client,
    joined.filter(({ before, after }) => !dominates(before.vector, after.vector)).map(({ after }) => after),
  )
  const conflicts = await storeConflicts(client, joined)
  await emitChanged(client, actor, joined, conflicts)
  const known = joined.filter(({ before, incoming }) => dominates(before.vector, incoming.state.vector))
  return { merged: joined.length - known.length, duplicates: known.length, conflicts }
}

async function storeConflicts(
  client: pg.ClientBase,
  joined: readonly Joined[],
): Promise<readonly ConflictRecord[]> {
  const records = joined.flatMap(({ conflicts }) => conflicts)
  const claims = await readClaims(client, [...new Set(records.map(({ stamp }) => stamp[4]))])
  return mergeConflicts(
    client,
    records.map((record) => classifyConflict(record, claims)),
  )
}

/** Sends a state whose conflict records changed here again, with these records and no new dot. */
async function emitChanged(
  client: pg.ClientBase,
  actor: string,
  joined: readonly Joined[],
  changed: readonly ConflictRecord[],
): Promise<void> {
  const byProperty = Map.groupBy(changed, (record) => record.property_id)
  await emitEvents(
    client,
    joined.flatMap(({ after }) => {
      const conflicts = byProperty.get(after.id)
      return conflicts ? [encodePropertyEvent({ actor, state: after, conflicts, claims: [] })] : []
    }),
  )
}
