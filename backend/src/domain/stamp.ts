/**
 * Stamps, dots and version vectors: who wrote what, and who had seen it.
 *
 * Invariant: a dot `(actor, n)` names one accepted write of one property and is never used twice, so stamps of one
 * property and group are totally ordered and two equal stamps belong to equal values. `c` counts the writes that a
 * value has superseded, so a write beats what it saw under any clocks (a Lamport clock per group: Lamport 1978,
 * "Time, Clocks, and the Ordering of Events"); `t` only orders writes that saw the same value. Never clamp a stamp
 * on the local clock: regions whose clocks differ would then keep different winners.
 *
 * A stamp also carries the request id of its write. It takes no part in the order (the dot determines it); it is
 * there so that a conflict record can name the losing request in every region alike, however late it is detected.
 */

import { integer, recordOf, text, tuple } from './checks.ts'

/** `region.unique`. */
export const actorPattern = /^[a-z0-9-]+\.[a-z0-9]+$/
export const actorLengthMax = 80
const isActor = text(actorLengthMax, actorPattern)

/**
 * `[c, t, actor, n, requestId]`: an array, since every event carries one for each field.
 * c ≥ 0; t in µs since the epoch; actor as `region.unique` ('' for seeds); n ≥ 1 (0 for seeds).
 */
export type Stamp = readonly [c: number, t: number, actor: string, n: number, requestId: string]

const isWriter = text(actorLengthMax, new RegExp(`${actorPattern.source}|^$`))
/** Whether parsed JSON is a stamp. Its time is not judged. */
export const isStamp = tuple(integer(0), integer(0), isWriter, integer(0), text(200))

/** Whether parsed JSON is stamps by the names of fields, of any release. */
export const areStamps = recordOf(text(200), isStamp)

/** The greatest n merged of each actor. An absent actor is 0. */
export type Vector = Readonly<Record<string, number>>

/** Whether parsed JSON is a vector. */
export const isVector = recordOf(isActor, integer(1))

/** All seeds carry this time: 2026-01-01T00:00:00Z in µs. */
export const seedTime = 1_767_225_600_000_000

/** The stamp of every field of a seed row; it loses against every write and is covered by every vector. */
export const seedStamp: Stamp = [0, seedTime, '', 0, '']

/** Total order of stamps: (c, t, actor bytewise, n). Negative when a loses against b. */
export function compareStamps(a: Stamp, b: Stamp): number {
  return a[0] - b[0] || a[1] - b[1] || compareBytes(a[2], b[2]) || a[3] - b[3]
}

/** Actors are ASCII (checked by the event schema), where code units order as bytes do. */
export function compareBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** Whether a state with this vector has seen the write of this stamp. Seeds are covered by every vector. */
export function covers(vector: Vector, stamp: Stamp): boolean {
  return stamp[3] <= (vector[stamp[2]] ?? 0)
}

/** Whether `a` has seen everything that `b` has. */
export function dominates(a: Vector, b: Vector): boolean {
  return Object.entries(b).every(([actor, n]) => n <= (a[actor] ?? 0))
}

/** Element-wise maximum. */
export function joinVectors(a: Vector, b: Vector): Vector {
  const joined: Record<string, number> = { ...a }
  for (const [actor, n] of Object.entries(b)) joined[actor] = Math.max(joined[actor] ?? 0, n)
  return joined
}

/** The integer that clients see: 1 + the number of accepted writes in this state. */
export function versionOf(vector: Vector): number {
  return Object.values(vector).reduce((sum, n) => sum + n, 1)
}

/** The region of an actor `region.unique`; '' for seeds. */
export function regionOf(actor: string): string {
  return actor.split('.', 1)[0] ?? ''
}
