/**
 * Claims: an `X-Request-ID` together with every acceptance of it.
 *
 * Invariant: a region's own statement creates a claim or loses against it, so one region accepts one id at most once.
 * Two regions can each accept an id before they hear of each other; the applier then unites the acceptances, and
 * every region derives the same records of twins from the same united set.
 */

import { integer, listOf, shape, text } from './checks.ts'
import { actorLengthMax, actorPattern, compareBytes } from './stamp.ts'

/** One accepted write. */
export interface Acceptance {
  readonly property: number
  readonly actor: string
  readonly n: number
  /** Hash of method, path without the region prefix, and canonical body. */
  readonly fingerprint: string
  /** HTTP status, version and ETag of the answer that was given. */
  readonly status: number
  readonly version: number
  readonly etag: string
  /** Transaction id of the write (`xid8` as text): the actor's part of a session token. */
  readonly xid: string
  /** µs since the epoch, on the accepting database's clock. */
  readonly t: number
}

const isAcceptance = shape({
  property: integer(1),
  actor: text(actorLengthMax, actorPattern),
  n: integer(1),
  fingerprint: text(100),
  status: integer(),
  version: integer(1),
  // It grows with the number of actors that have ever written the property.
  etag: text(65_536),
  xid: text(20, /^\d+$/),
  t: integer(0),
} satisfies Record<keyof Acceptance, unknown>)

export interface Claim {
  readonly request_id: string
  readonly acceptances: readonly Acceptance[]
}

/** Whether parsed JSON is a claim. */
export const isClaim = shape({ request_id: text(200, /./s), acceptances: listOf(isAcceptance, 1) })

const compareAcceptances = (a: Acceptance, b: Acceptance): number =>
  a.t - b.t || compareBytes(a.actor, b.actor) || a.property - b.property || a.n - b.n

const sameAcceptance = (a: Acceptance, b: Acceptance): boolean =>
  a.actor === b.actor && a.property === b.property && a.n === b.n

/** Set union, first acceptance first: commutative, associative and idempotent. */
export function joinAcceptances(a: readonly Acceptance[], b: readonly Acceptance[]): readonly Acceptance[] {
  const added = b.filter((candidate) => !a.some((known) => sameAcceptance(known, candidate)))
  return [...a, ...added].toSorted(compareAcceptances)
}

/**
 * The acceptances that are twins of the first one. The first can only be displaced by an earlier one, so the set of
 * twins of a growing claim only grows.
 */
export function twinsOf(
  claim: Claim,
): readonly { acceptance: Acceptance; kind: 'duplicate' | 'request_id_reused' }[] {
  const [, ...later] = claim.acceptances
  return later.map((acceptance) => ({
    acceptance,
    kind: claim.acceptances.every((other) => other.fingerprint === acceptance.fingerprint)
      ? 'duplicate'
      : 'request_id_reused',
  }))
}
