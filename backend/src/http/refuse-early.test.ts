import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import type { StoreRefusal } from './store.ts'
import { startTestApp, type TestApp } from './testing/test-app.ts'

let app: TestApp
let refusal: StoreRefusal | undefined
before(async () => {
  app = await startTestApp()
  app.store.refusal = () => refusal
})
beforeEach(() => {
  refusal = undefined
  app.observed.length = 0
  app.lines.length = 0
})
after(() => app.drain())

const put = (region: string): Promise<Response> =>
  fetch(`${app.url}/${region}/properties/1`, {
    method: 'PUT',
    headers: { 'X-Request-ID': `early-${region}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ price: 1, version: 1 }),
  })

test('while the store is full its requests are refused as by the application, counted and not logged', async () => {
  for (const [code, status] of [
    ['overloaded', 429],
    ['database_unavailable', 503],
  ] as const) {
    refusal = code
    const answer = await put('eu')
    assert.equal(answer.status, status)
    assert.equal(answer.headers.get('content-type'), 'application/problem+json')
    assert.equal(answer.headers.get('retry-after'), '1')
    assert.equal(answer.headers.get('x-served-by'), 'us')
    assert.equal(answer.headers.get('x-failover'), 'true')
    assert.equal(answer.headers.get('x-request-id'), 'early-eu')
    assert.equal(((await answer.json()) as { code: string }).code, code)
    assert.equal(app.observed.at(-1), `unmatched PUT ${status} ${code}`)
  }
  assert.deepEqual(app.lines, [])
  assert.deepEqual([...app.store.claims], [])
})

test('what tells of the region is answered all the same, and everything once there is room', async () => {
  refusal = 'overloaded'
  for (const path of ['/us/health', '/ready', '/us/replication-lag?x=1', '/metrics']) {
    assert.equal((await fetch(app.url + path)).status, 200, path)
  }
  assert.equal((await put('us')).status, 429)
  refusal = undefined
  assert.equal((await put('us')).status, 200)
})
