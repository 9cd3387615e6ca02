/**
 * Request headers and path parameters, each checked by one pure function.
 *
 * Invariant: a header that carries a guard or an identity is either understood completely or refused; a part of it is
 * never used. Node joins repeated headers with a comma, so a value that may not hold one shows a repetition.
 */

import { refuse, type Checked } from './problems.ts'

const requestIdPattern = /^[\x21-\x2b\x2d-\x7e]{1,200}$/

export const isRequestId = (value: unknown): value is string =>
  typeof value === 'string' && requestIdPattern.test(value)

/** The `X-Request-ID` of a write. */
export function parseRequestId(value: string | readonly string[] | undefined): Checked<string> {
  if (value === undefined) {
    return refuse('missing_request_id', 'A write needs an X-Request-ID header, the same one on each retry.')
  }
  if (!isRequestId(value)) {
    const detail =
      'X-Request-ID must be sent once and have 1 to 200 visible ASCII characters without a comma.'
    return refuse('invalid_request_id', detail)
  }
  return { value }
}

/** A property id as it stands in a path. */
export function parseId(value: unknown): Checked<number> {
  const id = typeof value === 'string' && /^[1-9]\d{0,15}$/.test(value) ? Number(value) : Number.NaN
  return Number.isSafeInteger(id)
    ? { value: id }
    : refuse('invalid_id', `The id in the path must be an integer from 1 to ${Number.MAX_SAFE_INTEGER}.`)
}

/** Whether a header was sent more than once; for those of which Node keeps the first only. */
export function isRepeated(rawHeaders: readonly string[], name: string): boolean {
  return rawHeaders.filter((text, index) => index % 2 === 0 && text.toLowerCase() === name).length > 1
}

/** `application/json`, with `charset=utf-8` or without a charset. */
export function checkContentType(value: string | undefined): Checked<'application/json'> {
  const [mediaType = '', ...parameters] = (value ?? '').split(';').map((part) => part.trim())
  if (mediaType.toLowerCase() !== 'application/json') {
    return refuse('unsupported_media_type', 'Content-Type must be application/json.')
  }
  for (const parameter of parameters) {
    const [name = '', text = ''] = parameter.split('=', 2)
    if (name.toLowerCase() === 'charset' && !/^("utf-8"|utf-8)$/i.test(text)) {
      return refuse('unsupported_charset', 'The charset must be utf-8.')
    }
  }
  return { value: 'application/json' }
}

export interface EntityTag {
  readonly weak: boolean
  /** With its quotes. */
  readonly tag: string
}

const entityTagPattern = /[\t ]*(?:(W\/)?("[\x21\x23-\x7e\x80-\xff]*")[\t ]*)?(?:,|$)/y

/** A list of entity tags (RFC 9110, 8.8.3 and 5.6.1: empty elements are allowed) or `*`; undefined if malformed. */
export function parseEntityTags(value: string): '*' | readonly EntityTag[] | undefined {
  if (value.trim() === '*') return '*'
  const tags: EntityTag[] = []
  for (let at = 0; at < value.length; at = entityTagPattern.lastIndex) {
    entityTagPattern.lastIndex = at
    const match = entityTagPattern.exec(value)
    if (!match) return undefined
    if (match[2] !== undefined) tags.push({ weak: match[1] !== undefined, tag: match[2] })
  }
  return tags.length > 0 ? tags : undefined
}

/** The strong tags of `If-Match`, which weak ones never satisfy, so that an empty list matches no state. */
export function parseIfMatch(value: string | undefined): Checked<'*' | readonly string[] | undefined> {
  if (value === undefined) return { value }
  const tags = parseEntityTags(value)
  if (tags === undefined) {
    return refuse('invalid_header', 'If-Match must be * or a list of entity tags, each in double quotes.')
  }
  return { value: tags === '*' ? tags : tags.filter(({ weak }) => !weak).map(({ tag }) => tag) }
}

/** Whether `If-None-Match` holds the tag, weakly compared. A malformed one matches nothing: the whole answer is right. */
export function matchesNone(value: string | undefined, etag: string): boolean {
  const tags = value === undefined ? [] : (parseEntityTags(value) ?? [])
  return tags === '*' || tags.some(({ tag }) => tag === etag)
}
