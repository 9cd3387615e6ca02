/**
 * The merge law. It exists here, and once: the applier's fast path in SQL only ever copies a whole state over one
 * whose vector it dominates, which is what this join gives too.
 *
 * Invariant: `joinStates` is commutative, associative and idempotent, so duplicates, reordering, gaps and whole
 * re-deliveries are harmless. Detecting conflicts is a local step that looks at the two sides of one join; it is not
 * associative and need not be, since its results are records that unite by name. What a delete hides is a loss like what
 * an overwrite replaces: it is recorded unless the delete has seen it.
 */

import { fieldNames, groups, isFieldName, type FieldName, type Fields } from './fields.ts'
import { conflictId, type ConflictRecord } from './conflict.ts'
import { compareStamps, covers, joinVectors, seedStamp, type Stamp } from './stamp.ts'
import type { PropertyState } from './property.ts'

const stampOf = (state: PropertyState, name: string): Stamp => state.stamps[name] ?? seedStamp

/** Which side of a join holds the winning value of a known group. Both, if the stamps are equal. */
function winnerOf(a: PropertyState, b: PropertyState, members: readonly FieldName[]): PropertyState {
  const first = members[0] as FieldName
  return compareStamps(stampOf(a, first), stampOf(b, first)) >= 0 ? a : b
}

/** Joins two states of one property. Both must have the same id. */
export function joinStates(a: PropertyState, b: PropertyState): PropertyState {
  const fields: Record<string, unknown> = {}
  const stamps: Record<string, Stamp> = {}
  for (const members of groups.values()) {
    const winner = winnerOf(a, b, members)
    for (const name of members) {
      fields[name] = winner.fields[name]
      if (winner.stamps[name]) stamps[name] = winner.stamps[name]
    }
  }
  const extra = joinExtra(a, b, stamps)
  return {
    id: a.id,
    region_origin: a.region_origin,
    fields: Object.fromEntries(fieldNames.map((name) => [name, fields[name]])) as Fields,
    vector: joinVectors(a.vector, b.vector),
    stamps,
    extra,
  }
}

/** Members of a newer release: each by its own stamp, since fields of one group always carry equal stamps. */
function joinExtra(
  a: PropertyState,
  b: PropertyState,
  stamps: Record<string, Stamp>,
): Readonly<Record<string, unknown>> {
  const extra: Record<string, unknown> = {}
  for (const name of new Set([...Object.keys(a.extra), ...Object.keys(b.extra)])) {
    if (isFieldName(name)) continue
    const winner = compareExtra(a, b, name) >= 0 ? a : b
    extra[name] = winner.extra[name]
    if (winner.stamps[name]) stamps[name] = winner.stamps[name]
  }
  return extra
}

/** A side that has the member beats one that lacks it; the text decides between unstamped values. */
function compareExtra(a: PropertyState, b: PropertyState, name: string): number {
  const presence = Number(name in a.extra) - Number(name in b.extra)
  if (presence !== 0) return presence
  const order = compareStamps(stampOf(a, name), stampOf(b, name))
  if (order !== 0) return order
  const [textA, textB] = [JSON.stringify(a.extra[name]), JSON.stringify(b.extra[name])]
  return textA < textB ? -1 : textA > textB ? 1 : 0
}

/**
 * The losses of one join. Of each group the losing value, if it is no seed's, if the state that holds the winner had
 * not seen it, and if the values differ; and if the result is deleted, the winning value too that the state that holds
 * the delete had not seen.
 */
export function detectConflicts(a: PropertyState, b: PropertyState): readonly ConflictRecord[] {
  return [...overwrittenValues(a, b), ...hiddenValues(a, b)]
}

function overwrittenValues(a: PropertyState, b: PropertyState): readonly ConflictRecord[] {
  const records: ConflictRecord[] = []
  for (const [group, members] of groups) {
    const winner = winnerOf(a, b, members)
    const loser = winner === a ? b : a
    const stamp = stampOf(loser, members[0] as FieldName)
    if (stamp[3] === 0 || covers(winner.vector, stamp)) continue
    if (members.every((name) => winner.fields[name] === loser.fields[name])) continue
    records.push(lossOf(loser, group, members))
  }
  return records
}

/**
 * Values are not compared: whoever wrote one to a live property must be able to learn that it is gone. If both sides
 * hold the same delete, this join hides nothing: what either side has, it has recorded.
 */
function hiddenValues(a: PropertyState, b: PropertyState): readonly ConflictRecord[] {
  const deleter = winnerOf(a, b, ['deleted'])
  const isShared = compareStamps(stampOf(a, 'deleted'), stampOf(b, 'deleted')) === 0
  if (!deleter.fields.deleted || isShared) return []
  return [...groups].flatMap(([group, members]) => {
    const winner = winnerOf(a, b, members)
    const stamp = stampOf(winner, members[0] as FieldName)
    return covers(deleter.vector, stamp) ? [] : [lossOf(winner, group, members)]
  })
}

function lossOf(loser: PropertyState, group: string, members: readonly FieldName[]): ConflictRecord {
  const stamp = stampOf(loser, members[0] as FieldName)
  return {
    id: conflictId(loser.id, group, stamp),
    property_id: loser.id,
    group,
    kind: 'concurrent',
    value: Object.fromEntries(members.map((name) => [name, loser.fields[name]])),
    stamp,
    resolution: null,
  }
}
