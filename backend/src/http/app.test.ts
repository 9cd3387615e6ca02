import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import type { ConflictRecord } from '../domain/conflict.ts'
import { UnavailableError } from './store.ts'
import { RawClient } from './testing/raw-client.ts'
import { assertProblem, json, put, startTestApp, type TestApp } from './testing/test-app.ts'

let app: TestApp
before(async () => {
  app = await startTestApp()
})
after(() => app.drain())
afterEach(() => {
  app.store.gate = () => Promise.resolve()
  Object.assign(app.dependencies, {
    readiness: () => ({ ready: true }),
    probe: () => Promise.resolve(),
    now: () => performance.now(),
  })
})

const get = (path: string, init?: RequestInit) => fetch(`${app.url}${path}`, init)

test('every route answers with and without a prefix, and says who answered', async () => {
  const paths = [
    '/health',
    '/ready',
    '/replication-lag',
    '/conflicts',
    '/properties/1',
    '/properties/1/conflicts',
  ]
  for (const path of paths) {
    for (const [prefix, failover] of [
      ['', 'false'],
      ['/us', 'false'],
      ['/eu', 'true'],
    ] as const) {
      const response = await get(prefix + path, { headers: { 'X-Request-ID': 'echo-me' } })
      assert.equal(response.status, 200, prefix + path)
      assert.equal(response.headers.get('content-type'), 'application/json; charset=utf-8')
      assert.equal(response.headers.get('x-served-by'), 'us')
      assert.equal(response.headers.get('x-failover'), failover)
      assert.equal(response.headers.get('x-request-id'), 'echo-me')
      assert.equal(response.headers.get('x-powered-by'), null)
      assert.equal(response.headers.get('cache-control'), path === '/properties/1' ? 'no-cache' : 'no-store')
      await response.text()
    }
  }
})

test('health, ready and lag bodies', async () => {
  const health = await json(await get('/eu/health'))
  assert.equal(health['status'], 'ok')
  assert.equal(health['region'], 'us')
  assert.deepEqual(await json(await get('/us/ready')), { status: 'ready', region: 'us' })
  const lag = await json(await get('/us/replication-lag'))
  assert.equal(lag['region'], 'us')
  assert.equal(lag['lag_seconds'], 0.012)
})

test('metrics are there without a prefix only', async () => {
  const response = await get('/metrics')
  assert.equal(response.headers.get('content-type'), 'text/plain; version=0.0.4')
  assert.equal(await response.text(), 'requests 1\n')
  await assertProblem(await get('/us/metrics'), 404, 'unknown_path')
})

test('unknown paths, regions and methods', async () => {
  for (const path of [
    '/',
    '/us',
    '/mars/health',
    '/us/us/health',
    '/us/properties',
    '/us/health/',
    '/us/Health',
    '/US/health',
  ]) {
    await assertProblem(await get(path), 404, 'unknown_path')
  }
  const failed = await get('/eu/nothing')
  assert.equal(failed.headers.get('x-failover'), 'true')
  await assertProblem(failed, 404, 'unknown_path')
  for (const [path, method, allow] of [
    ['/us/properties/1', 'POST', 'GET, HEAD, PUT, DELETE'],
    ['/us/properties/1', 'OPTIONS', 'GET, HEAD, PUT, DELETE'],
    ['/us/health', 'PUT', 'GET, HEAD'],
    ['/us/properties/1/conflicts', 'DELETE', 'GET, HEAD'],
    ['/metrics', 'POST', 'GET, HEAD'],
  ] as const) {
    const response = await get(path, { method })
    assert.equal(response.headers.get('allow'), allow)
    await assertProblem(response, 405, 'method_not_allowed')
  }
  await assertProblem(await get('/us/properties/%ff'), 400, 'invalid_path')
  await assertProblem(await get('/us/properties/1%2f2'), 400, 'invalid_id')
})

test('an invalid X-Request-ID is not echoed', async () => {
  const response = await get('/us/health', { headers: { 'X-Request-ID': 'a, b' } })
  assert.equal(response.headers.get('x-request-id'), null)
  assert.equal(response.status, 200)
  await response.text()
})

test('whatever the target is, a URI or none, it is served by its path or has none', async () => {
  const client = await RawClient.open(app.port)
  for (const [target, status] of [
    ['http://listings.example/us/health', 200],
    ['http://[x/us/health', 200],
    ['foo://x', 404],
    ['foo://x?y', 404],
    ['*', 404],
    ['/us/health#x', 200],
    ['/us//a@b', 404],
    ['/us//a@b#x', 404],
  ] as const) {
    client.send(`GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`)
    const answer = await client.answer()
    assert.equal(answer.status, status, target)
    assert.equal(answer.headers['x-served-by'], 'us')
    assert.doesNotThrow(() => JSON.parse(answer.body), target)
  }
  client.close()
})

test('what the store cannot do is a 503 with a time to wait; what nobody foresaw is a 500 without a stack', async () => {
  const url = `${app.url}/us/properties/8`
  app.store.gate = () =>
    Promise.reject(
      new UnavailableError('database_unavailable', 'Not in time.', { cause: new Error('disk full') }),
    )
  app.lines.length = 0
  app.dependencies.now = () => 1e9
  for (const response of [
    await get('/us/properties/8'),
    await put(url, { price: 1, version: 1 }),
    await get('/us/conflicts'),
  ]) {
    assert.equal(response.headers.get('retry-after'), '1')
    const body = await assertProblem(response, 503, 'database_unavailable')
    assert.doesNotMatch(JSON.stringify(body), /disk full/)
  }
  const reasons = app.lines.filter(({ msg }) => msg === 'database unavailable')
  assert.deepEqual(
    reasons.map(({ level, reason }) => [level, reason]),
    [[40, 'disk full']],
    'the reason once, not with each request',
  )
  app.store.gate = () => Promise.reject(new UnavailableError('overloaded', 'queue is full'))
  const overloaded = await get('/us/properties/8')
  assert.equal(overloaded.headers.get('retry-after'), '1')
  await assertProblem(overloaded, 429, 'overloaded')

  app.store.gate = () => Promise.reject(new TypeError('secret detail'))
  app.lines.length = 0
  const defect = await get('/us/properties/8', { headers: { 'X-Request-ID': 'defect-1' } })
  const body = await assertProblem(defect, 500, 'internal_error')
  assert.ok(!JSON.stringify(body).includes('secret'))
  const line = app.lines.find(({ level }) => level === 50)
  assert.equal(line?.['request_id'], 'defect-1')
  assert.match(JSON.stringify(line?.['err']), /secret detail.*at /)
})

test('readiness holds back data, not health; health asks the database', async () => {
  Object.assign(app.dependencies, {
    readiness: () => ({ ready: false, code: 'incarnation_mismatch', detail: 'restored from a backup' }),
  })
  for (const path of ['/us/properties/1', '/us/conflicts', '/us/properties/1/conflicts', '/us/ready']) {
    const response = await get(path)
    assert.equal(response.headers.get('retry-after'), '1')
    await assertProblem(response, 503, 'incarnation_mismatch')
  }
  assert.equal((await get('/us/health')).status, 200)
  assert.equal((await get('/us/replication-lag')).status, 200)
  Object.assign(app.dependencies, {
    readiness: () => ({ ready: true }),
    probe: () => Promise.reject(new Error('connect ECONNREFUSED 10.0.0.1')),
  })
  for (const path of ['/us/health', '/us/ready']) {
    const body = await assertProblem(await get(path), 503, 'database_unavailable')
    assert.equal(body['region'], 'us')
    assert.ok(!JSON.stringify(body).includes('10.0.0.1'))
  }
})

test('conflicts', async () => {
  const record: ConflictRecord = {
    id: '1/price/eu.k3/2',
    property_id: 1,
    group: 'price',
    kind: 'concurrent',
    value: { price: 5 },
    stamp: [3, 1_767_225_600_123_456, 'eu.k3', 2, 'req-1'],
    resolution: null,
  }
  app.store.conflicts = [record, { ...record, id: 'x', property_id: 2 }]
  const expected = {
    id: '1/price/eu.k3/2',
    property_id: 1,
    group: 'price',
    kind: 'concurrent',
    value: { price: 5 },
    request_id: 'req-1',
    region: 'eu',
    written_at: '2026-01-01T00:00:00.123456Z',
    resolved: false,
  }
  assert.deepEqual(await json(await get('/us/properties/1/conflicts')), { conflicts: [expected] })
  const open = (await json(await get('/eu/conflicts')))['conflicts'] as unknown[]
  assert.deepEqual(open[0], expected)
  assert.equal(open.length, 2)
  assert.deepEqual(await json(await get('/us/properties/3/conflicts')), { conflicts: [] })
})

test('one log line and one observation a request, without bodies', async () => {
  app.lines.length = 0
  app.observed.length = 0
  await (
    await put(
      `${app.url}/eu/properties/9?token=secret`,
      { title: 'secret', version: 1 },
      { 'X-Request-ID': 'log-1' },
    )
  ).text()
  await (await get('/us/health')).text()
  await (await get('/us/nothing/secret')).text()
  await (await get('/us/properties/9', { headers: { 'If-None-Match': '*' } })).text()
  assert.deepEqual(app.observed, [
    '/properties/:id PUT 200 ok',
    '/health GET 200 ok',
    'unmatched GET 404 unknown_path',
    '/properties/:id GET 304 not_modified',
  ])
  const [write, health, ...others] = app.lines
  assert.equal(others.length, 2)
  const { level, time, pid, hostname, duration_ms: duration, ...line } = write ?? {}
  assert.deepEqual([level, typeof time, typeof pid, typeof hostname], [30, 'number', 'number', 'string'])
  assert.ok(Number(duration) > 0)
  assert.deepEqual(line, {
    request_id: 'log-1',
    method: 'PUT',
    route: '/properties/:id',
    asked_region: 'eu',
    failover: true,
    status: 200,
    outcome: 'ok',
    msg: 'request',
  })
  assert.equal(health?.['level'], 20)
  assert.ok(!JSON.stringify(app.lines).includes('secret'))
})
