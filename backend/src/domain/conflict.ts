/**
 * Conflict records: what concurrent writes have lost, as replicated state.
 *
 * Invariant: a record is named by its loser's dot, so every region gives one loss one name; the loser's value, stamp
 * and request id never change; `kind` and `resolution` are joins. A set of records therefore merges like the row
 * does. Naming a record by its winner would not do: the winner may differ by the order in which a region hears of it.
 */

import { z } from 'zod'
import { twinsOf, type Claim } from './claim.ts'
import { compareStamps, isStamp, type Stamp } from './stamp.ts'

/**
 * In the order in which they join, least first.
 * - `concurrent`: the value was overwritten, or hidden by a delete, by a write that had not seen it.
 * - `duplicate`: the same request was accepted in two regions; harmless, both wrote the same.
 * - `request_id_reused`: two different requests with one id were accepted in two regions.
 */
export const conflictKinds = ['concurrent', 'duplicate', 'request_id_reused'] as const
export type ConflictKind = (typeof conflictKinds)[number]

/** The group name of records that concern a request as a whole. */
export const requestGroup = 'request'

export interface Resolution {
  readonly resolved: boolean
  readonly stamp: Stamp
}

export interface ConflictRecord {
  readonly id: string
  readonly property_id: number
  readonly group: string
  readonly kind: ConflictKind
  /** The losing values of the group's fields, by field name. */
  readonly value: Readonly<Record<string, unknown>>
  readonly stamp: Stamp
  /** A register that the greater stamp wins; null until somebody has decided. */
  readonly resolution: Resolution | null
}

const stampSchema = z.custom<Stamp>(isStamp, 'is no stamp')

export const conflictSchema = z.looseObject({
  id: z.string().max(300),
  property_id: z.int().min(1),
  group: z.string().max(60),
  kind: z.enum(conflictKinds),
  value: z.record(z.string(), z.unknown()),
  stamp: stampSchema,
  resolution: z.object({ resolved: z.boolean(), stamp: stampSchema }).nullable(),
})

export const conflictId = (propertyId: number, group: string, loser: Stamp): string =>
  `${propertyId}/${group}/${loser[2]}/${loser[3]}`

function joinResolutions(a: Resolution | null, b: Resolution | null): Resolution | null {
  if (!a || !b) return a ?? b
  return compareStamps(a.stamp, b.stamp) >= 0 ? a : b
}

/** Joins two records of one id. */
function joinConflict(a: ConflictRecord, b: ConflictRecord): ConflictRecord {
  const kind = conflictKinds.indexOf(a.kind) >= conflictKinds.indexOf(b.kind) ? a.kind : b.kind
  return { ...a, kind, resolution: joinResolutions(a.resolution, b.resolution) }
}

const sameConflict = (a: ConflictRecord, b: ConflictRecord): boolean =>
  a.kind === b.kind &&
  (a.resolution === b.resolution ||
    (a.resolution !== null &&
      b.resolution !== null &&
      compareStamps(a.resolution.stamp, b.resolution.stamp) === 0))

/** Unites record sets: one record per id, each the join of all with that id, ordered by id. */
export function joinConflicts(...sets: (readonly ConflictRecord[])[]): readonly ConflictRecord[] {
  const byId = new Map<string, ConflictRecord>()
  for (const record of sets.flat()) {
    const known = byId.get(record.id)
    byId.set(record.id, known ? joinConflict(known, record) : record)
  }
  return [...byId.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1))
}

/** The joined records that `known` lacks or holds in an older form: what a merge has to store and to emit. */
export function conflictsToStore(
  known: readonly ConflictRecord[],
  incoming: readonly ConflictRecord[],
): readonly ConflictRecord[] {
  const before = new Map(known.map((record) => [record.id, record]))
  const touched = new Set(incoming.map((record) => record.id))
  return joinConflicts(known, incoming).filter((record) => {
    const old = before.get(record.id)
    return touched.has(record.id) && (!old || !sameConflict(old, record))
  })
}

/** The records of a claim that more than one region has accepted: one per acceptance after the first. */
export function conflictsOfClaim(claim: Claim): readonly ConflictRecord[] {
  return twinsOf(claim).map(({ acceptance, kind }) => {
    const stamp: Stamp = [0, acceptance.t, acceptance.actor, acceptance.n, claim.request_id]
    return {
      id: conflictId(acceptance.property, requestGroup, stamp),
      property_id: acceptance.property,
      group: requestGroup,
      kind,
      value: { version: acceptance.version, etag: acceptance.etag },
      stamp,
      resolution: null,
    }
  })
}

/**
 * Lifts a `concurrent` loss to `duplicate` where the losing request was also accepted by a write that the winner's
 * side has seen: the loss then undoes nothing that somebody asked for once.
 */
export function classifyConflict(record: ConflictRecord, claims: ReadonlyMap<string, Claim>): ConflictRecord {
  const claim = claims.get(record.stamp[4])
  if (record.kind !== 'concurrent' || !claim) return record
  const own = claim.acceptances.find(
    (acceptance) => acceptance.actor === record.stamp[2] && acceptance.n === record.stamp[3],
  )
  const twin = claim.acceptances.some(
    (other) =>
      other !== own && own && other.property === own.property && other.fingerprint === own.fingerprint,
  )
  return twin ? { ...record, kind: 'duplicate' } : record
}
