/**
 * `GET`, `PUT` and `DELETE /properties/{id}`.
 *
 * Invariant: a write is checked completely before the store hears of it, in a fixed order: headers, id, content type,
 * body, members. A deletion has no body, so its one guard is `If-Match`. What the store refuses leaves its request id free;
 * only 422 says that it was used.
 */

import type { ServerResponse } from 'node:http'
import type { PropertyView } from '../domain/property.ts'
import type { Guard, RefusedOutcome, WriteRequest } from '../domain/write.ts'
import { jsonContentType, sendJson, sendNoContent, sendNotModified, sendProblem, sendText } from './answer.ts'
import { readJson } from './body.ts'
import { fingerprintOf } from './fingerprint.ts'
import { matchesNone, parseId, parseIfMatch, parseRequestId } from './headers.ts'
import { refuse, type Checked, type Problem } from './problems.ts'
import type { RoutedRequest } from './request-context.ts'
import type { PropertyStore } from './store.ts'
import { parsePropertyPut } from './validation.ts'
import { originalView } from './views.ts'

export const noSuchProperty = (id: number): Problem => ({
  code: 'not_found',
  detail: `There is no property ${id}.`,
})

/** A tombstone shows nothing but the state that a restoring PUT has to name. */
const deletedProblem = ({ id, version, etag }: PropertyView): Problem => ({
  code: 'deleted',
  detail: `Property ${id} was deleted. A PUT with deleted: false restores it.`,
  extensions: { version, etag },
})

/** The current state may be kept by a cache, but asked for again each time. */
const revalidate = { 'Cache-Control': 'no-cache' }

export async function getProperty(
  store: PropertyStore,
  request: RoutedRequest,
  response: ServerResponse,
): Promise<void> {
  const id = parseId(request.params['id'])
  if ('problem' in id) return sendProblem(response, id.problem)
  const ifMatch = parseIfMatch(request.headers['if-match'])
  if ('problem' in ifMatch) return sendProblem(response, ifMatch.problem)

  const found = await store.read(id.value)
  if (!found) return sendProblem(response, noSuchProperty(id.value))
  const { view: property, json } = found
  if (property.deleted) return sendProblem(response, deletedProblem(property))
  if (Array.isArray(ifMatch.value) && !ifMatch.value.includes(property.etag)) {
    return sendProblem(response, staleProblem('precondition_failed', property))
  }
  const headers = { ETag: property.etag, ...revalidate }
  if (matchesNone(request.headers['if-none-match'], property.etag)) return sendNotModified(response, headers)
  sendText(response, 200, jsonContentType, json, headers)
}

export async function putProperty(
  store: PropertyStore,
  request: RoutedRequest,
  response: ServerResponse,
): Promise<void> {
  const property = await write(store, await parsePut(request), response)
  if (property) sendJson(response, 200, property, { ETag: property.etag })
}

export async function deleteProperty(
  store: PropertyStore,
  request: RoutedRequest,
  response: ServerResponse,
): Promise<void> {
  const property = await write(store, parseDelete(request), response)
  if (property) sendNoContent(response, { ETag: property.etag })
}

/** The property after an accepted write; undefined if the refusal has been sent. */
async function write(
  store: PropertyStore,
  asked: Checked<WriteRequest>,
  response: ServerResponse,
): Promise<PropertyView | undefined> {
  if ('problem' in asked) {
    sendProblem(response, asked.problem)
    return undefined
  }
  const outcome = await store.write(asked.value)
  if (outcome.kind === 'accepted') return outcome.property
  sendProblem(response, problemOf(outcome, asked.value.id))
  return undefined
}

interface WriteHeaders {
  readonly requestId: string
  readonly ifMatch: Guard['ifMatch'] | undefined
  readonly id: number
}

/** What every write has beside its body. */
function parseHead(request: RoutedRequest): Checked<WriteHeaders> {
  const requestId = parseRequestId(request.headers['x-request-id'])
  if ('problem' in requestId) return requestId
  const ifMatch = parseIfMatch(request.headers['if-match'])
  if ('problem' in ifMatch) return ifMatch
  if (request.headers['if-none-match'] !== undefined) {
    return refuse('invalid_header', 'If-None-Match cannot guard a write to a property, If-Match can.')
  }
  const id = parseId(request.params['id'])
  if ('problem' in id) return id
  return { value: { requestId: requestId.value, ifMatch: ifMatch.value, id: id.value } }
}

async function parsePut(request: RoutedRequest): Promise<Checked<WriteRequest>> {
  const head = parseHead(request)
  if ('problem' in head) return head
  const { requestId, ifMatch, id } = head.value
  const body = await readJson(request)
  if ('problem' in body) return body
  const put = parsePropertyPut(body.value, id, ifMatch)
  if ('problem' in put) return put
  const fingerprint = fingerprintOf('PUT', `/properties/${id}`, body.value)
  return { value: { id, requestId, fingerprint, ...put.value } }
}

function parseDelete(request: RoutedRequest): Checked<WriteRequest> {
  const head = parseHead(request)
  if ('problem' in head) return head
  const { requestId, ifMatch, id } = head.value
  if (request.headers['transfer-encoding'] || Number(request.headers['content-length'] ?? 0) > 0) {
    return refuse('invalid_body', 'A DELETE has no body; its guard is If-Match.')
  }
  if (ifMatch === undefined) {
    return refuse('guard_required', 'A DELETE needs an If-Match header with the etag as read.')
  }
  const fingerprint = fingerprintOf('DELETE', `/properties/${id}`, null)
  return { value: { id, requestId, fingerprint, guard: { ifMatch }, changes: { deleted: true } } }
}

function staleProblem(code: 'precondition_failed' | 'version_conflict', current: PropertyView): Problem {
  const detail =
    code === 'precondition_failed'
      ? `Property ${current.id} is not in a state that If-Match names.`
      : `Property ${current.id} is at version ${current.version}.`
  return { code, detail, extensions: { current }, headers: { ETag: current.etag } }
}

function problemOf(outcome: RefusedOutcome, id: number): Problem {
  switch (outcome.kind) {
    case 'not_found':
      return noSuchProperty(id)
    case 'deleted':
      return deletedProblem(outcome.current)
    case 'precondition_failed':
    case 'version_conflict':
      return staleProblem(outcome.kind, outcome.current)
    case 'duplicate_request':
    case 'request_id_reused': {
      const how =
        outcome.kind === 'duplicate_request' ? 'This request' : 'Another request with this X-Request-ID'
      const detail = `${how} was accepted before: see original.`
      return { code: outcome.kind, detail, extensions: { original: originalView(outcome.original) } }
    }
    default:
      return outcome satisfies never
  }
}
