/**
 * `GET` and `PUT /properties/{id}`.
 *
 * Invariant: a write is checked completely before the store hears of it, in a fixed order: headers, id, content type,
 * body, members. What the store refuses leaves its request id free; only 422 says that it was used.
 */

import type { Request, Response } from 'express'
import type { WriteOutcome, WriteRequest } from '../domain/write.ts'
import { sendJson, sendNotModified, sendProblem } from './answer.ts'
import { readJson } from './body.ts'
import { fingerprintOf } from './fingerprint.ts'
import { matchesNone, parseId, parseIfMatch, parseRequestId } from './headers.ts'
import { refuse, type Checked, type Problem } from './problems.ts'
import type { PropertyStore } from './store.ts'
import { parsePropertyPut } from './validation.ts'
import { originalView } from './views.ts'

export const noSuchProperty = (id: number): Problem => ({
  code: 'not_found',
  detail: `There is no property ${id}.`,
})

/** The current state may be kept by a cache, but asked for again each time. */
const revalidate = { 'Cache-Control': 'no-cache' }

export async function getProperty(store: PropertyStore, request: Request, response: Response): Promise<void> {
  const id = parseId(request.params['id'])
  if ('problem' in id) return sendProblem(response, id.problem)
  const ifMatch = parseIfMatch(request.headers['if-match'])
  if ('problem' in ifMatch) return sendProblem(response, ifMatch.problem)

  const property = await store.read(id.value)
  if (!property) return sendProblem(response, noSuchProperty(id.value))
  if (Array.isArray(ifMatch.value) && !ifMatch.value.includes(property.etag)) {
    return sendProblem(response, staleProblem('precondition_failed', property))
  }
  const headers = { ETag: property.etag, ...revalidate }
  if (matchesNone(request.headers['if-none-match'], property.etag)) return sendNotModified(response, headers)
  sendJson(response, 200, property, headers)
}

export async function putProperty(store: PropertyStore, request: Request, response: Response): Promise<void> {
  const write = await parseWrite(request, response)
  if ('problem' in write) return sendProblem(response, write.problem)
  const outcome = await store.write(write.value)
  if (outcome.kind !== 'accepted') return sendProblem(response, problemOf(outcome, write.value.id))
  sendJson(response, 200, outcome.property, { ETag: outcome.property.etag })
}

async function parseWrite(request: Request, response: Response): Promise<Checked<WriteRequest>> {
  const requestId = parseRequestId(request.headers['x-request-id'])
  if ('problem' in requestId) return requestId
  const ifMatch = parseIfMatch(request.headers['if-match'])
  if ('problem' in ifMatch) return ifMatch
  if (request.headers['if-none-match'] !== undefined) {
    return refuse('invalid_header', 'If-None-Match cannot guard a write to a property, If-Match can.')
  }
  const id = parseId(request.params['id'])
  if ('problem' in id) return id
  const body = await readJson(request, response)
  if ('problem' in body) return body
  const put = parsePropertyPut(body.value, id.value, ifMatch.value)
  if ('problem' in put) return put
  return {
    value: {
      id: id.value,
      requestId: requestId.value,
      fingerprint: fingerprintOf('PUT', `/properties/${id.value}`, body.value),
      ...put.value,
    },
  }
}

type Stale = Extract<WriteOutcome, { kind: 'precondition_failed' | 'version_conflict' }>

function staleProblem(code: Stale['kind'], current: Stale['current']): Problem {
  const detail =
    code === 'precondition_failed'
      ? `Property ${current.id} is not in a state that If-Match names.`
      : `Property ${current.id} is at version ${current.version}.`
  return { code, detail, extensions: { current }, headers: { ETag: current.etag } }
}

function problemOf(outcome: Exclude<WriteOutcome, { kind: 'accepted' }>, id: number): Problem {
  switch (outcome.kind) {
    case 'not_found':
      return noSuchProperty(id)
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
