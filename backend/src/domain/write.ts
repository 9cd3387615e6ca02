/**
 * The decision about one client write. The SQL statement in `postgres/write-batch.ts` takes the same decision
 * under the row's lock; a property test holds the two equal.
 *
 * Invariant: every accepted write consumes exactly one dot, and stamps only what it changes.
 */

import { fieldNames, groups, type Fields } from './fields.ts'
import { decodeEtag } from './etag.ts'
import type { Acceptance } from './claim.ts'
import type { PropertyState, PropertyView } from './property.ts'
import { seedStamp, versionOf, type Stamp, type Vector } from './stamp.ts'

/** What the client believes the state to be. All members that are present must hold; at least one is present. */
export interface Guard {
  readonly version?: number
  /** The body's `etag`. */
  readonly etag?: string
  /** The strong ETags of `If-Match`, or '*' for any state. */
  readonly ifMatch?: '*' | readonly string[]
}

export interface WriteRequest {
  readonly id: number
  readonly requestId: string
  readonly fingerprint: string
  readonly guard: Guard
  readonly changes: Partial<Fields>
}

export type WriteOutcome = { readonly kind: 'accepted'; readonly property: PropertyView } | RefusedOutcome

export type RefusedOutcome =
  | { readonly kind: 'duplicate_request' | 'request_id_reused'; readonly original: Acceptance }
  | { readonly kind: 'not_found' }
  | { readonly kind: Refusal; readonly current: PropertyView }

/** Why a write to a property that exists is refused, in the order of the checks. */
export type Refusal = 'deleted' | 'precondition_failed' | 'version_conflict'

/**
 * Writes in a batch at most: enough to make the flush cheap, few enough that the database works on one batch while this
 * process answers another. With 64, all of 64 clients were in one batch: the two took turns, and a tenth was lost.
 */
export const writesPerBatchMax = 32

const sameVector = (a: Vector, b: Vector): boolean => {
  const [entriesA, entriesB] = [Object.entries(a), Object.entries(b)]
  return entriesA.length === entriesB.length && entriesA.every(([actor, n]) => b[actor] === n)
}

const matches = (vector: Vector, etag: string): boolean => {
  const expected = decodeEtag(etag)
  return expected !== undefined && sameVector(vector, expected)
}

/** What of a state decides whether a write is refused. */
export interface Judged {
  readonly fields: Pick<Fields, 'deleted'>
  readonly vector: Vector
}

/**
 * Why a state refuses a write, if it does: a deleted property takes none but one that restores it (404), then
 * `If-Match` is checked (412), then `version` and the body's `etag` (409).
 */
export function refusalOf(
  { fields, vector }: Judged,
  { guard, changes }: Pick<WriteRequest, 'guard' | 'changes'>,
): Refusal | undefined {
  if (fields.deleted && changes.deleted !== false) return 'deleted'
  if (Array.isArray(guard.ifMatch) && !guard.ifMatch.some((etag: string) => matches(vector, etag))) {
    return 'precondition_failed'
  }
  if (guard.version !== undefined && guard.version !== versionOf(vector)) return 'version_conflict'
  if (guard.etag !== undefined && !matches(vector, guard.etag)) return 'version_conflict'
  return undefined
}

/** The HTTP status of an accepted write, which its claim keeps for the answer to a retry. */
export const acceptedStatus = (changes: Partial<Fields>): number => (changes.deleted ? 204 : 200)

/** Who accepts the write, and when (µs since the epoch, on the accepting database's clock). */
export interface WriteContext {
  readonly actor: string
  readonly t: number
}

/** The state after an accepted write, or why it is refused. */
export function decideWrite(
  state: PropertyState,
  request: Pick<WriteRequest, 'guard' | 'changes' | 'requestId'>,
  { actor, t }: WriteContext,
): PropertyState | Refusal {
  const refusal = refusalOf(state, request)
  if (refusal) return refusal
  const n = (state.vector[actor] ?? 0) + 1
  const stamps: Record<string, Stamp> = { ...state.stamps }
  for (const members of groups.values()) {
    const changed = members.some(
      (name) => name in request.changes && request.changes[name] !== state.fields[name],
    )
    if (!changed) continue
    for (const name of members) {
      stamps[name] = [(state.stamps[name] ?? seedStamp)[0] + 1, t, actor, n, request.requestId]
    }
  }
  const fields = Object.fromEntries(
    fieldNames.map((name) => [name, request.changes[name] ?? state.fields[name]]),
  ) as Fields
  return { ...state, fields, stamps, vector: { ...state.vector, [actor]: n } }
}
