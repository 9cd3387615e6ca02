/**
 * Every problem that this API answers (RFC 9457), by its stable `code`.
 *
 * Invariant: a client may branch on `code` for ever: a code is never renamed, given another status or used for
 * something else. `detail` and `title` are for people and may change.
 */

interface ProblemDefinition {
  readonly status: number
  /** What the code means, in the words of the answer's `title`. */
  readonly title: string
}

export const problemTable = {
  // 400: nothing was changed and the request id is still free; the same request will be refused again.

  /** The bytes are not an HTTP request. Cause: a broken client or proxy. Cure: use an HTTP library. */
  bad_request: { status: 400, title: 'Not a valid HTTP request' },
  /** The path cannot be decoded. Cause: a stray `%`. Cure: percent-encode the path. */
  invalid_path: { status: 400, title: 'Path cannot be decoded' },
  /** The id in the path is no positive integer. Cause: a sign, leading zeros, text, or more than 2^53 − 1. */
  invalid_id: { status: 400, title: 'Invalid property id' },
  /** Cause: a write without `X-Request-ID`. Cure: send a fresh unique one with each write, the same one on a retry. */
  missing_request_id: { status: 400, title: 'X-Request-ID is missing' },
  /** Cause: `X-Request-ID` is sent twice, empty, too long, or has characters other than visible ASCII without comma. */
  invalid_request_id: { status: 400, title: 'Invalid X-Request-ID' },
  /** Another header is malformed, sent twice, or not supported with this method; `detail` names it. */
  invalid_header: { status: 400, title: 'Invalid header' },
  /** The body cannot be decompressed or is no UTF-8. Cause: `Content-Encoding` and the bytes disagree. */
  malformed_body: { status: 400, title: 'Body cannot be decoded' },
  /** The body is no JSON text. Cause: also an empty body or NaN. */
  invalid_json: { status: 400, title: 'Body is not JSON' },
  /** Members are unknown, of a wrong type or out of range. Cure: correct each of those named in `errors`. */
  invalid_body: { status: 400, title: 'Invalid body' },
  /**
   * Nothing says which state the write is based on. Cure: `If-Match` with the `etag` as read; in a PUT also `version` or
   * `etag` as read, in the body.
   */
  guard_required: { status: 400, title: 'A version guard is required' },
  /** Cause: the body has the guard and read-only members only. Cure: send at least one mutable member. */
  nothing_to_change: { status: 400, title: 'Nothing to change' },

  // Other refusals before anything is looked up.

  /** No such path, or no such region as its prefix. */
  unknown_path: { status: 404, title: 'Unknown path' },
  /** The path exists, the method does not; `Allow` lists those that do. */
  method_not_allowed: { status: 405, title: 'Method not allowed' },
  /** The request did not arrive in time. Cure: send it again, with the same `X-Request-ID`. */
  request_timeout: { status: 408, title: 'Request did not arrive in time' },
  /** The body is larger than 64 KB, as sent or decompressed. */
  body_too_large: { status: 413, title: 'Body too large' },
  /** Cause: `Content-Type` is not `application/json`. */
  unsupported_media_type: { status: 415, title: 'Unsupported content type' },
  /** Cause: a charset other than UTF-8, the only one that JSON has. */
  unsupported_charset: { status: 415, title: 'Unsupported charset' },
  /** Cause: a `Content-Encoding` other than identity, gzip, deflate or br. */
  unsupported_encoding: { status: 415, title: 'Unsupported content encoding' },
  /** Cause: an `Expect` header other than `100-continue`. */
  expectation_failed: { status: 417, title: 'Expectation cannot be met' },
  /** Request line and headers are larger than 16 KB together, or there are more than 100 headers. */
  headers_too_large: { status: 431, title: 'Headers too large' },

  // Answers of the data.

  /** The same request was accepted before; `original` says how. Cure: none needed, it has had its effect once. */
  duplicate_request: { status: 422, title: 'Request was accepted before' },
  /** Another request with this `X-Request-ID` was accepted before. Cure: a fresh id for each new write. */
  request_id_reused: { status: 422, title: 'X-Request-ID was used for another request' },
  /** There is no such property. */
  not_found: { status: 404, title: 'Property not found' },
  /** The property was deleted; `version` and `etag` name that state. Cure: a PUT with `deleted: false` restores it. */
  deleted: { status: 404, title: 'Property was deleted' },
  /** `If-Match` names another state than the current one, which is in `current`. Cure: redo the change on that. */
  precondition_failed: { status: 412, title: 'If-Match does not hold' },
  /** `version` or `etag` is stale; the current state is in `current`. Cure: redo the change on that. */
  version_conflict: { status: 409, title: 'Property has been changed since it was read' },

  // The region cannot answer now; NGINX asks another one. Cure: wait as `Retry-After` says, and use the same request id.

  /** More requests are under way than this backend's database answers in 300 ms. */
  overloaded: { status: 429, title: 'Too many requests' },
  /** The region's database does not answer in time. A write may have been accepted: the retry will tell. */
  database_unavailable: { status: 503, title: 'Database is unavailable' },
  /** The backend is starting: migrating, seeding, or creating its slot. */
  not_ready: { status: 503, title: 'Region is not ready' },
  /**
   * The database is not the one that this region's actor wrote to: rebuilt, restored or promoted. Serving it could
   * issue a version twice. Cure: give it a new name, docs/operations.md#incarnation_mismatch.
   */
  incarnation_mismatch: { status: 503, title: 'Database is another incarnation' },
  /**
   * The region's replication slot is gone, so accepted writes would never leave the region. Cause: it was dropped, or
   * Kafka was away until `max_slot_wal_keep_size` was used up. Cure: make a new one and send everything again,
   * docs/operations.md#slot_lost. Do not rebuild the region: only it has what it accepted last.
   */
  slot_lost: { status: 503, title: 'Replication slot is lost' },

  /** A defect of this service. The log has the stack under the same request id. */
  internal_error: { status: 500, title: 'Internal error' },
} as const satisfies Record<string, ProblemDefinition>

export type ProblemCode = keyof typeof problemTable

/** What a dependency reports when it cannot serve. */
export type UnavailableCode =
  | 'overloaded'
  | 'database_unavailable'
  | 'not_ready'
  | 'incarnation_mismatch'
  | 'slot_lost'

export interface MemberError {
  readonly member: string
  readonly detail: string
}

/** One refusal. `extensions` are further members of the body, `headers` further headers of the answer. */
export interface Problem {
  readonly code: ProblemCode
  readonly detail: string
  readonly errors?: readonly MemberError[]
  readonly extensions?: Readonly<Record<string, unknown>>
  readonly headers?: Readonly<Record<string, string>>
}

/** A checked input: its value, or why it is refused. */
export type Checked<T> = { readonly value: T } | { readonly problem: Problem }

export const refuse = (code: ProblemCode, detail: string): { readonly problem: Problem } => ({
  problem: { code, detail },
})

export const problemContentType = 'application/problem+json'

/** The body of a problem. `type` is a URN, since it names the code and needs no host that must stay reachable. */
export function problemBody(problem: Problem): Readonly<Record<string, unknown>> {
  const { status, title } = problemTable[problem.code]
  return {
    type: `urn:meridian:problem:${problem.code}`,
    title,
    status,
    detail: problem.detail,
    code: problem.code,
    ...(problem.errors && { errors: problem.errors }),
    ...problem.extensions,
  }
}
