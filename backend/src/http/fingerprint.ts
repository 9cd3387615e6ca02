/**
 * The fingerprint of a write: what makes a second request with the same `X-Request-ID` a retry of the first.
 *
 * Invariant: equal in every region and for every spelling of one request, so it takes the path without the region
 * prefix and the parsed body with sorted keys, not the bytes. Headers take no part, `If-Match` neither: a proxy may
 * change them between a request and its retry, and a client that lost the answer may retry with or without the guard
 * while it still asks for the same change. The guards of the body do take part, as members like any other.
 */

import { hash } from 'node:crypto'

/** JSON with sorted keys and without spaces; numbers as JSON.stringify gives them. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return `{${entries.map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`).join(',')}}`
}

/** SHA-256 in base64url (43 characters). `path` is without the region prefix, as `/properties/1`; `body` is parsed. */
export function fingerprintOf(method: string, path: string, body: unknown): string {
  return hash('sha256', `${method}\n${path}\n${canonicalJson(body)}`, 'base64url')
}
