/** The HTTP layer as a running server over a store in memory, for tests. */

import assert from 'node:assert/strict'
import { pino } from 'pino'
import { createHttpApp } from '../app.ts'
import type { HttpDependencies, LagReport } from '../dependencies.ts'
import { startServer, type RunningServer } from '../server.ts'
import { MemoryStore } from './memory-store.ts'

export interface TestApp extends RunningServer {
  readonly url: string
  readonly store: MemoryStore
  /** Replaceable while the server runs. */
  readonly dependencies: { -readonly [K in keyof HttpDependencies]: HttpDependencies[K] }
  /** Parsed log lines, of every level. */
  readonly lines: Record<string, unknown>[]
  /** `route method status outcome` of each observed request. */
  readonly observed: string[]
}

const lag: LagReport = { region: 'us', lag_seconds: 0.012, sources: { eu: { lag_seconds: 0.012 } } }

/** Starts region `us` of `us,eu` on a free port. */
export async function startTestApp(store = new MemoryStore()): Promise<TestApp> {
  const lines: Record<string, unknown>[] = []
  const observed: string[] = []
  const log = pino(
    { level: 'trace' },
    { write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>) },
  )
  const dependencies: HttpDependencies = {
    region: 'us',
    regions: ['us', 'eu'],
    store,
    readiness: () => ({ ready: true }),
    probe: () => Promise.resolve(),
    lag: () => Promise.resolve(lag),
    metrics: {
      contentType: 'text/plain; version=0.0.4',
      text: () => Promise.resolve('requests 1\n'),
      observeRequest: (route, method, status, outcome) =>
        observed.push(`${route} ${method} ${status} ${outcome}`),
    },
    log,
    now: () => performance.now(),
  }
  const replaceable = { ...dependencies }
  const app = createHttpApp(replaceable)
  const server = await startServer(app, { host: '127.0.0.1', port: 0, region: 'us', log })
  const url = `http://127.0.0.1:${server.port}`
  return { ...server, url, store, dependencies: replaceable, lines, observed }
}

let lastRequest = 0

/** A request id that no other test uses. */
export function freshRequestId(): string {
  lastRequest += 1
  return `test-${process.pid}-${Date.now()}-${lastRequest}`
}

/** A PUT with the headers that every write has, each replaceable; text and bytes are sent as they are. */
export function put(
  url: string,
  body: object | string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  return fetch(url, {
    method: 'PUT',
    headers: { 'Content-Type': 'application/json', 'X-Request-ID': freshRequestId(), ...headers },
    body: typeof body === 'string' || body instanceof Uint8Array ? Buffer.from(body) : JSON.stringify(body),
  })
}

/** A DELETE of any state, each header replaceable. */
export function remove(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
  const all = { 'X-Request-ID': freshRequestId(), 'If-Match': '*', ...headers }
  return fetch(url, { method: 'DELETE', headers: all })
}

/** The body of a JSON answer. */
export async function json(response: Response): Promise<Record<string, unknown>> {
  return (await response.json()) as Record<string, unknown>
}

/** Asserts a problem of region `us` and gives its body. */
export async function assertProblem(
  response: Response,
  status: number,
  code: string,
): Promise<Record<string, unknown>> {
  const text = await response.text()
  assert.equal(response.status, status, text)
  assert.equal(response.headers.get('content-type'), 'application/problem+json')
  assert.equal(response.headers.get('x-served-by'), 'us')
  assert.ok(response.headers.has('x-failover'))
  assert.equal(response.headers.get('cache-control'), 'no-store')
  const body = JSON.parse(text) as Record<string, unknown>
  assert.equal(body['code'], code, text)
  assert.equal(body['status'], status)
  assert.equal(typeof body['title'], 'string')
  assert.equal(typeof body['detail'], 'string')
  assert.doesNotMatch(text, /\.[jt]s:\d+/, 'no stack')
  return body
}
