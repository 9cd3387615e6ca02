/**
 * Merges one batch of events into the database, inside a transaction.
 *
 * Invariant: the fast path only replaces rows that have seen nothing new to the incoming state; every other property
 * goes through the domain's join under its row's lock, so the merge law exists once. Locks are taken rows first, in
 * the order of their ids, then claims, in the order of their request ids, as in a client's write.
 */

import { classifyConflict, conflictsOfClaim, joinConflicts, type ConflictRecord } from '../domain/conflict.ts'
import { encodePropertyEvent } from '../domain/event.ts'
import { detectConflicts, joinStates } from '../domain/merge.ts'
import type { PropertyState } from '../domain/property.ts'
import { dominates } from '../domain/stamp.ts'
import type { Claim } from '../domain/claim.ts'
import type { Encoded } from '../postgres/encoded.ts'
import { encodeClaims } from '../postgres/merge-claims.ts'
import { encodeStates } from '../postgres/merge-states.ts'
import { together } from '../runtime/together.ts'
import type { FoldedBatch, FoldedProperty } from './fold.ts'
import type { MergeTransaction } from './ports.ts'

export interface MergeCounts {
  /** Stored as they came. */
  readonly applied: number
  /** Joined with a concurrent local state. */
  readonly merged: number
  /** Brought nothing new. */
  readonly duplicates: number
  /** Conflict records that were added or changed. */
  readonly conflicts: readonly ConflictRecord[]
}

/** A folded batch with its statements' parameters. */
export interface EncodedBatch {
  readonly properties: readonly FoldedProperty[]
  /** The first state of each property. */
  readonly states: Encoded<PropertyState>
  readonly claims: Encoded<Claim>
}

export const encodeBatch = ({ properties, claims }: FoldedBatch): EncodedBatch => ({
  properties,
  states: encodeStates(properties.map(({ states }) => states[0] as PropertyState)),
  claims: encodeClaims(claims),
})

/** `actor` is this region's: records that are new here are emitted in its name. */
export async function mergeBatch(
  transaction: MergeTransaction,
  actor: string,
  batch: EncodedBatch,
): Promise<MergeCounts> {
  const { properties } = batch
  const [stored, grownClaims] = await together([
    // Also locks the rows that it does not replace, all in the order of their ids.
    transaction.mergeStates(batch.states),
    transaction.mergeClaims(batch.claims),
  ])
  const twins = await transaction.mergeConflicts(grownClaims.flatMap(conflictsOfClaim))
  const rest = properties
    .map((property) =>
      stored.has(property.id) ? { ...property, states: property.states.slice(1) } : property,
    )
    .filter(({ states, conflicts }) => states.length > 0 || conflicts.length > 0)
  const slow = await mergeSlowly(transaction, actor, rest)
  return {
    applied: properties.length - slow.merged - slow.duplicates,
    merged: slow.merged,
    duplicates: slow.duplicates,
    conflicts: [...twins, ...slow.conflicts],
  }
}

interface Joined {
  readonly before: PropertyState
  readonly after: PropertyState
  readonly conflicts: readonly ConflictRecord[]
}

/** Joins the states of one property with its row, one after the other. */
function joinInto(before: PropertyState, { states, conflicts }: FoldedProperty): Joined {
  let after = before
  const records = [conflicts]
  for (const state of states) {
    records.push(detectConflicts(after, state))
    after = joinStates(after, state)
  }
  return { before, after, conflicts: joinConflicts(...records) }
}

const isUnchanged = ({ before, after }: Joined): boolean => dominates(before.vector, after.vector)

async function mergeSlowly(
  transaction: MergeTransaction,
  actor: string,
  rest: readonly FoldedProperty[],
): Promise<{ merged: number; duplicates: number; conflicts: readonly ConflictRecord[] }> {
  if (rest.length === 0) return { merged: 0, duplicates: 0, conflicts: [] }
  const byId = new Map(rest.map((property) => [property.id, property]))
  const locked = await transaction.lockStates([...byId.keys()])
  const joined = locked.map((before) => joinInto(before, byId.get(before.id) as FoldedProperty))
  // A joined state dominates the row that it was joined from, so the fast path's statement stores it.
  const changed = joined.filter((each) => !isUnchanged(each)).map(({ after }) => after)
  await transaction.mergeStates(encodeStates(changed))
  const conflicts = await storeConflicts(transaction, joined)
  await emitChanged(transaction, actor, joined, conflicts)
  const duplicates = joined.filter(isUnchanged).length
  return { merged: joined.length - duplicates, duplicates, conflicts }
}

async function storeConflicts(
  transaction: MergeTransaction,
  joined: readonly Joined[],
): Promise<readonly ConflictRecord[]> {
  const records = joined.flatMap(({ conflicts }) => conflicts)
  const claims = await transaction.readClaims([...new Set(records.map(({ stamp }) => stamp[4]))])
  return transaction.mergeConflicts(records.map((record) => classifyConflict(record, claims)))
}

/**
 * Conflict records that one event carries at most, in characters of JSON: far below the size of a message that Kafka
 * refuses, which would stop the relay for ever.
 */
export const eventConflictsMax = 300_000

/** Cuts records into runs whose JSON stays within `max` characters; a longer record is a run of its own. */
export function cutBySize(records: readonly ConflictRecord[], max: number): readonly ConflictRecord[][] {
  const runs: ConflictRecord[][] = []
  let size = Number.POSITIVE_INFINITY
  for (const record of records) {
    const length = JSON.stringify(record).length
    if (size + length > max) {
      runs.push([])
      size = 0
    }
    runs.at(-1)?.push(record)
    size += length
  }
  return runs
}

/** Sends a state whose conflict records changed here again, with these records and no new dot. */
async function emitChanged(
  transaction: MergeTransaction,
  actor: string,
  joined: readonly Joined[],
  changed: readonly ConflictRecord[],
): Promise<void> {
  const byProperty = Map.groupBy(changed, (record) => record.property_id)
  await transaction.emitEvents(
    joined.flatMap(({ after }) =>
      cutBySize(byProperty.get(after.id) ?? [], eventConflictsMax).map((conflicts) => ({
        actor,
        key: String(after.id),
        text: encodePropertyEvent({ actor, state: after, conflicts, claims: [] }),
      })),
    ),
  )
}
