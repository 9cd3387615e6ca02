import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import type { ConflictRecord } from '../domain/conflict.ts'
import { UnavailableError } from './store.ts'
import { freshRequestId, put, startTestApp, type TestApp } from './testing/test-app.ts'

let app: TestApp
before(async () => {
  app = await startTestApp()
})
after(() => app.drain())
afterEach(() => {
  app.store.gate = () => Promise.resolve()
  Object.assign(app.dependencies, { readiness: () => ({ ready: true }), probe: () => Promise.resolve() })
})

const get = (path: string, init?: RequestInit) => fetch(`${app.url}${path}`, init)
const json = async (response: Response) => (await response.json()) as Record<string, unknown>

async function assertProblem(response: Response, status: number, code: string) {
  const text = await response.text()
  assert.equal(response.status, status, text)
  assert.equal(response.headers.get('content-type'), 'application/problem+json')
  assert.equal(response.headers.get('x-served-by'), 'us')
  assert.ok(response.headers.has('x-failover'))
  const body = JSON.parse(text) as Record<string, unknown>
  assert.equal(body['code'], code, text)
  assert.equal(body['status'], status)
  assert.equal(typeof body['title'], 'string')
  assert.equal(typeof body['detail'], 'string')
  assert.ok(!text.includes(' at '), 'no stack')
  return body
}

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
    '/US/health',
  ]) {
    await assertProblem(await get(path), 404, 'unknown_path')
  }
  const failed = await get('/eu/nothing')
  assert.equal(failed.headers.get('x-failover'), 'true')
  await assertProblem(failed, 404, 'unknown_path')
  for (const [path, method, allow] of [
    ['/us/properties/1', 'DELETE', 'GET, HEAD, PUT'],
    ['/us/properties/1', 'POST', 'GET, HEAD, PUT'],
    ['/us/properties/1', 'OPTIONS', 'GET, HEAD, PUT'],
    ['/us/health', 'PUT', 'GET, HEAD'],
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

test('reading: ETag, 304, If-Match, HEAD, 404', async () => {
  const response = await get('/us/properties/2')
  const etag = response.headers.get('etag') ?? ''
  assert.equal((await json(response))['etag'], etag)
  assert.equal(response.headers.get('cache-control'), 'no-cache')
  for (const header of [etag, `W/${etag}`, '*', `"x", ${etag}`]) {
    const unchanged = await get('/us/properties/2', { headers: { 'If-None-Match': header } })
    assert.equal(unchanged.status, 304)
    assert.equal(unchanged.headers.get('etag'), etag)
    assert.equal(unchanged.headers.get('x-served-by'), 'us')
  }
  for (const header of ['"x"', 'nonsense']) {
    assert.equal((await get('/us/properties/2', { headers: { 'If-None-Match': header } })).status, 200)
  }
  const stale = await get('/us/properties/2', { headers: { 'If-Match': '"x"' } })
  assert.equal(stale.headers.get('etag'), etag)
  await assertProblem(stale, 412, 'precondition_failed')
  assert.equal((await get('/us/properties/2', { headers: { 'If-Match': etag } })).status, 200)
  const head = await get('/us/properties/2', { method: 'HEAD' })
  assert.equal(head.status, 200)
  assert.equal(head.headers.get('etag'), etag)
  assert.equal(await head.text(), '')
  assert.equal((await get('/us/properties/99', { method: 'HEAD' })).status, 404)
  await assertProblem(await get('/us/properties/99'), 404, 'not_found')
  await assertProblem(await get('/us/properties/99/conflicts'), 404, 'not_found')
  await assertProblem(await get('/us/properties/01/conflicts'), 400, 'invalid_id')
})

test('a write, sent twice', async () => {
  const headers = { 'X-Request-ID': freshRequestId() }
  const url = `${app.url}/us/properties/3`
  const first = await put(url, { price: 1_250_000.5, version: 1 }, headers)
  const property = await json(first)
  assert.equal(first.status, 200)
  assert.equal(first.headers.get('etag'), property['etag'])
  assert.equal(first.headers.get('x-request-id'), headers['X-Request-ID'])
  assert.equal(property['version'], 2)
  assert.equal(property['price'], 1_250_000.5)
  assert.equal(property['title'], 'Loft by the river')

  const again = await put(`${app.url}/eu/properties/3`, { version: 1, price: 1_250_000.5 }, headers)
  const problem = await assertProblem(again, 422, 'duplicate_request')
  assert.deepEqual(problem['original'], {
    status: 200,
    version: 2,
    etag: property['etag'],
    property_id: 3,
    region: 'us',
    accepted_at: property['updated_at'],
  })
  await assertProblem(await put(url, { price: 1, version: 2 }, headers), 422, 'request_id_reused')
  const other = await put(`${app.url}/us/properties/4`, { price: 1_250_000.5, version: 1 }, headers)
  await assertProblem(other, 422, 'request_id_reused')
})

test('guards: each that is sent must hold, and a refusal has the current state', async () => {
  const url = `${app.url}/us/properties/5`
  const current = await json(await get('/us/properties/5'))
  const etag = String(current['etag'])
  const conflict = async (body: object, headers: Record<string, string>, status: number, code: string) => {
    const response = await put(url, body, headers)
    assert.equal(response.headers.get('etag'), etag)
    const problem = await assertProblem(response, status, code)
    assert.deepEqual(problem['current'], current)
  }
  await conflict({ price: 1, version: 7 }, {}, 409, 'version_conflict')
  await conflict({ price: 1, version: 1, etag: '"other"' }, {}, 409, 'version_conflict')
  await conflict({ price: 1, version: 7, etag }, {}, 409, 'version_conflict')
  await conflict({ price: 1, version: 7 }, { 'If-Match': '"x"' }, 412, 'precondition_failed')
  await conflict({ price: 1, version: 1 }, { 'If-Match': `W/${etag}` }, 412, 'precondition_failed')
  await conflict({ price: 1, version: 7 }, { 'If-Match': '*' }, 409, 'version_conflict')

  const guarded = await put(url, { price: 2 }, { 'If-Match': `"x", ${etag}` })
  assert.equal(guarded.status, 200)
  const read = await json(await get('/us/properties/5'))
  const whole = await put(url, { ...read, status: 'sold' })
  assert.equal(whole.status, 200)
  assert.equal((await json(whole))['version'], 3)
  const same = await put(url, { status: 'sold', version: 3 })
  assert.equal((await json(same))['version'], 4, 'equal members are a write too')
  assert.equal((await put(url, { price: 3 }, { 'If-Match': '*' })).status, 200)
})

test('what is checked first is answered first', async () => {
  const good = { price: 1, version: 1 }
  const at = (id: string) => `${app.url}/us/properties/${id}`
  const ready = { ready: false, code: 'not_ready', detail: 'starting' } as const
  const claimed = freshRequestId()
  assert.equal((await put(at('6'), good, { 'X-Request-ID': claimed })).status, 200)

  await assertProblem(await put(at('0'), '{', { 'X-Request-ID': 'a,b' }), 400, 'invalid_request_id')
  await assertProblem(await put(at('0'), '{', { 'If-Match': 'x' }), 400, 'invalid_header')
  await assertProblem(await put(at('6'), good, { 'If-None-Match': '*' }), 400, 'invalid_header')
  await assertProblem(await put(at('0'), '{', { 'Content-Type': 'text/plain' }), 400, 'invalid_id')
  await assertProblem(
    await put(at('6'), '{', { 'Content-Type': 'text/plain' }),
    415,
    'unsupported_media_type',
  )
  const latin = { 'Content-Type': 'application/json; charset=latin1' }
  await assertProblem(await put(at('6'), '{', latin), 415, 'unsupported_charset')
  await assertProblem(await put(at('6'), '{', { 'Content-Encoding': 'zstd' }), 415, 'unsupported_encoding')
  await assertProblem(await put(at('6'), ' '.repeat(65_537)), 413, 'body_too_large')
  await assertProblem(await put(at('6'), '{', { 'X-Request-ID': claimed }), 400, 'invalid_json')
  await assertProblem(await put(at('6'), { nope: 1 }, { 'X-Request-ID': claimed }), 400, 'invalid_body')
  await assertProblem(await put(at('99'), good, { 'X-Request-ID': claimed }), 422, 'request_id_reused')
  await assertProblem(await put(at('99'), good, { 'If-Match': '"x"' }), 404, 'not_found')
  app.dependencies.readiness = () => ready
  await assertProblem(await put(at('6'), good, { 'X-Request-ID': 'a,b' }), 503, 'not_ready')
  const noId = await fetch(at('6'), { method: 'PUT', body: '{}' })
  await assertProblem(noId, 503, 'not_ready')
  app.dependencies.readiness = () => ({ ready: true })
  await assertProblem(await fetch(at('6'), { method: 'PUT', body: '{}' }), 400, 'missing_request_id')
})

test('bodies: encodings, UTF-8, size as sent and as decompressed', async () => {
  const url = `${app.url}/us/properties/7`
  const text = (version: number) => JSON.stringify({ title: 'Größe 🏠', version })
  const encoders = { identity: Buffer.from, gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync }
  let version = 1
  for (const [encoding, encode] of Object.entries(encoders)) {
    const response = await put(url, encode(Buffer.from(text(version))), { 'Content-Encoding': encoding })
    assert.equal(response.status, 200, encoding)
    version += 1
    assert.equal((await json(response))['title'], 'Größe 🏠')
  }
  const bomb = gzipSync(Buffer.alloc(10_000_000, ' '))
  await assertProblem(await put(url, bomb, { 'Content-Encoding': 'gzip' }), 413, 'body_too_large')
  for (const bytes of [Buffer.from('no gzip'), gzipSync(text(version)).subarray(0, 20), Buffer.alloc(0)]) {
    await assertProblem(
      await put(url, bytes, { 'Content-Encoding': 'gzip' }),
      400,
      bytes.length ? 'malformed_body' : 'invalid_json',
    )
  }
  await assertProblem(await put(url, Buffer.from('{"title":"\xff"}', 'latin1')), 400, 'malformed_body')
  await assertProblem(await put(url, ''), 400, 'invalid_json')
  await assertProblem(await put(url, '{"price": NaN, "version": 1}'), 400, 'invalid_json')
  await assertProblem(await put(url, '{"price": 1e999, "version": 1}'), 400, 'invalid_body')
  const largest = `{"version":${version},"price":1${' '.repeat(65_536)}`.slice(0, 65_535)
  assert.equal((await put(url, `${largest}}`)).status, 200)
  for (const deep of ['['.repeat(10_000), '['.repeat(10_000) + ']'.repeat(10_000), '{"a":'.repeat(10_000)]) {
    assert.equal((await put(url, deep)).status, 400)
  }
  const nested = `{"version":1,"price":${'['.repeat(20_000)}${']'.repeat(20_000)}}`
  await assertProblem(await put(url, nested), 400, 'invalid_body')
})

test('what the store cannot do is a 503 with a time to wait; what nobody foresaw is a 500 without a stack', async () => {
  const url = `${app.url}/us/properties/8`
  app.store.gate = () =>
    Promise.reject(new UnavailableError('database_unavailable', 'no answer within 600 ms'))
  for (const response of [
    await get('/us/properties/8'),
    await put(url, { price: 1, version: 1 }),
    await get('/us/conflicts'),
  ]) {
    assert.equal(response.headers.get('retry-after'), '1')
    await assertProblem(response, 503, 'database_unavailable')
  }
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
    region: 'us',
    failover: true,
    status: 200,
    outcome: 'ok',
    msg: 'request',
  })
  assert.equal(health?.['level'], 20)
  assert.ok(!JSON.stringify(app.lines).includes('secret'))
})
