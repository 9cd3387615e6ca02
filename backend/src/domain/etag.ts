/**
 * The strong ETag of a property (RFC 9110, 8.8.3): its version vector, readable.
 *
 * Invariant: equal ETags of one property mean equal rows in every region, since the vector names exactly the writes
 * that a row has merged. An integer `version` is exact only within the region that issued it; an ETag is exact anywhere.
 */

import { compareBytes, type Vector } from './stamp.ts'

/** `"us.k3x9q2a1:4;eu.p0d8w7:2"` with its quotes, actors in byte order; `"seed"` for an untouched seed row. */
export function encodeEtag(vector: Vector): string {
  const entries = Object.entries(vector).toSorted(([a], [b]) => compareBytes(a, b))
  return `"${entries.map(([actor, n]) => `${actor}:${n}`).join(';') || 'seed'}"`
}

/** The vector of an ETag, with or without its quotes; undefined for anything that this service did not issue. */
export function decodeEtag(etag: string): Vector | undefined {
  const opaque = /^"?([^"]*)"?$/.exec(etag)?.[1]
  if (opaque === undefined) return undefined
  if (opaque === 'seed') return {}
  const vector: Record<string, number> = {}
  for (const entry of opaque.split(';')) {
    const match = /^([a-z0-9-]+\.[a-z0-9]+):([1-9]\d{0,15})$/.exec(entry)
    if (!match?.[1] || !match[2]) return undefined
    vector[match[1]] = Number(match[2])
  }
  return vector
}
