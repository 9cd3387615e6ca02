/**
 * What the tests of the HTTP contract ask with: through real NGINX, from outside. BASE_URL names a running system; without
 * it each file starts a whole one on free ports. No answer may lack what every answer must carry.
 *
 * They can be run again and again against a used system: they read before they write, work on properties picked at
 * random, and no request id comes twice but on purpose: every mutating request is sent twice.
 */

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { RawClient } from '../../backend/src/http/testing/raw-client.ts'
import type { RegionName } from '../support/system.ts'
import { useSystem } from '../support/use-system.ts'

export type Json = Record<string, unknown>
export type Fields = Readonly<Record<string, string>>

export interface Answer {
  readonly status: number
  readonly headers: { get(name: string): string | null }
  readonly body: Json
  readonly text: string
}

const given = process.env['BASE_URL']?.replace(/\/+$/, '')
const own = given === undefined ? useSystem() : undefined
/** Whether the system is this test's own, so that nobody has written to it before. */
export const isFresh = own !== undefined
const baseUrl = (): string => given ?? own?.stack.url ?? ''

/** The address of a backend of this test's own system, past NGINX. */
export const backendUrl = (region: RegionName): string | undefined => own?.backend(region).url

/** A connection that sends what HTTP clients refuse to send. */
export function connect(): Promise<RawClient> {
  const { hostname, port } = new URL(baseUrl())
  return RawClient.open(Number(port || 80), hostname)
}

/** One request; no answer may be worse than a refusal. */
export async function send(
  method: string,
  path: string,
  headers: Fields = {},
  body?: string | Buffer,
): Promise<Answer> {
  const response = await fetch(baseUrl() + path, {
    method,
    headers,
    ...(body !== undefined && { body: Buffer.from(body) }),
  })
  const text = await response.text()
  assert.ok(response.status < 500, `${method} ${path}: ${response.status} ${text}`)
  const answer = {
    status: response.status,
    headers: response.headers,
    text,
    body: text === '' ? {} : (JSON.parse(text) as Json),
  }
  assertSigned(answer)
  return answer
}

/** What every answer carries; a region's prefix is answered by that region while it is healthy. */
function assertSigned({ status, headers, body }: Answer): void {
  assert.match(headers.get('x-served-by') ?? '', /^(us|eu|nginx)$/)
  assert.equal(headers.get('x-failover'), 'false')
  assert.equal(headers.get('x-powered-by'), null)
  if (status >= 400 && Object.keys(body).length > 0) {
    assert.equal(headers.get('content-type'), 'application/problem+json')
    assert.equal(body['status'], status)
    for (const member of ['title', 'detail', 'code']) assert.equal(typeof body[member], 'string', member)
  } else if (status === 200) {
    assert.equal(headers.get('content-type'), 'application/json; charset=utf-8')
  }
}

export const get = (path: string, headers: Fields = {}) => send('GET', path, headers)
export const freshId = () => `contract-${randomUUID()}`
export const writeHeaders = (more: Fields = {}) => ({
  'Content-Type': 'application/json',
  'X-Request-ID': freshId(),
  ...more,
})

/** Sends a PUT twice. What was accepted is refused as a duplicate; what was refused is refused alike. */
export async function put(path: string, body: object | string | Buffer, more: Fields = {}): Promise<Answer> {
  const headers = writeHeaders(more)
  const bytes = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body)
  const first = await send('PUT', path, headers, bytes)
  const second = await send('PUT', path, headers, bytes)
  if (first.status !== 200) {
    assert.deepEqual([second.status, second.body], [first.status, first.body])
    return first
  }
  assertCode(second, 422, 'duplicate_request')
  const original = second.body['original'] as Json
  const { id, version, etag } = first.body
  assert.deepEqual(
    [original['status'], original['property_id'], original['version'], original['etag']],
    [200, id, version, etag],
  )
  assert.equal(first.headers.get('x-request-id'), headers['X-Request-ID'])
  assert.equal(first.headers.get('etag'), etag)
  return first
}

/** Sends a DELETE twice, and expects of the second one what `put` does. */
export async function remove(path: string, more: Fields = {}): Promise<Answer> {
  const headers = { 'X-Request-ID': freshId(), ...more }
  const first = await send('DELETE', path, headers)
  const second = await send('DELETE', path, headers)
  if (first.status !== 204) {
    assert.deepEqual([second.status, second.body], [first.status, first.body])
    return first
  }
  assertCode(second, 422, 'duplicate_request')
  const { status, etag } = second.body['original'] as Json
  assert.deepEqual([first.text, status, etag], ['', 204, first.headers.get('etag')])
  assert.equal(first.headers.get('x-request-id'), headers['X-Request-ID'])
  return first
}

export function assertCode(answer: Answer, status: number, code: string): void {
  assert.deepEqual([answer.status, answer.body['code']], [status, code], answer.text)
}

interface Picked {
  readonly path: string
  readonly id: number
  readonly property: Json
  readonly version: number
  readonly etag: string
}

/**
 * A property for one test. Each region writes to its own half of the ids, so that nothing arrives from the other one
 * in the middle of a test; 1 belongs to the examples of the documentation.
 */
export async function pick(region: string): Promise<Picked> {
  const id = 2 * (1 + Math.floor(Math.random() * 400)) + (region === 'us' ? 0 : 1)
  const path = `/${region}/properties/${id}`
  const { body } = await get(path)
  return { path, id, property: body, version: Number(body['version']), etag: String(body['etag']) }
}
