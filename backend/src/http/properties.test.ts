import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import {
  assertProblem,
  freshRequestId,
  json,
  put,
  remove,
  startTestApp,
  type TestApp,
} from './testing/test-app.ts'

let app: TestApp
before(async () => {
  app = await startTestApp()
})
after(() => app.drain())
afterEach(() => {
  app.dependencies.readiness = () => ({ ready: true })
})

const get = (path: string, init?: RequestInit) => fetch(`${app.url}${path}`, init)
const titled = (version: number) => JSON.stringify({ title: 'Größe 🏠', version })

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

test('a deletion, sent twice; the tombstone; and its restoration', async () => {
  const url = `${app.url}/us/properties/8`
  const live = await json(await get('/us/properties/8'))
  await assertProblem(await remove(url, { 'If-Match': '"x"' }), 412, 'precondition_failed')
  const headers = { 'X-Request-ID': freshRequestId(), 'If-Match': String(live['etag']) }
  const first = await remove(url, headers)
  const etag = first.headers.get('etag')
  assert.deepEqual([first.status, await first.text(), first.headers.get('content-type')], [204, '', null])
  assert.equal(first.headers.get('x-request-id'), headers['X-Request-ID'])
  const again = await assertProblem(await remove(url, headers), 422, 'duplicate_request')
  const original = again['original'] as Record<string, unknown>
  assert.deepEqual([original['status'], original['version'], original['etag']], [204, 2, etag])

  const requestId = { 'X-Request-ID': freshRequestId() }
  for (const response of [
    await get('/us/properties/8'),
    await get('/us/properties/8', { headers: { 'If-Match': '"x"' } }),
    await remove(url, requestId),
    await put(url, { price: 1, version: 2 }, requestId),
    await put(url, { price: 1, version: 1 }, { 'If-Match': '"x"', ...requestId }),
  ]) {
    const problem = await assertProblem(response, 404, 'deleted')
    assert.deepEqual([problem['version'], problem['etag']], [2, etag])
  }
  assert.deepEqual(await json(await get('/us/properties/8/conflicts')), { conflicts: [] })
  const stale = await put(url, { deleted: false, version: 1 }, requestId)
  const conflict = await assertProblem(stale, 409, 'version_conflict')
  assert.equal((conflict['current'] as Record<string, unknown>)['deleted'], true)
  const restored = await put(url, { deleted: false, price: 7, etag }, requestId)
  const property = await json(restored)
  assert.deepEqual([restored.status, property['price'], property['version']], [200, 7, 3])
  assert.deepEqual(Object.keys(property), Object.keys(live))
  assert.equal((await put(url, { deleted: false, version: 3 })).status, 200, 'it is there already')
})

test('a deletion is checked in the order of a PUT', async () => {
  const url = `${app.url}/us/properties/9`
  const bare = (headers: Record<string, string>, body?: string) =>
    fetch(url, { method: 'DELETE', headers, ...(body !== undefined && { body }) })
  await assertProblem(await bare({ 'If-Match': '*' }), 400, 'missing_request_id')
  await assertProblem(await remove(url, { 'If-Match': 'x' }), 400, 'invalid_header')
  await assertProblem(await remove(url, { 'If-None-Match': '*' }), 400, 'invalid_header')
  await assertProblem(await remove(`${app.url}/us/properties/0`), 400, 'invalid_id')
  const requestId = freshRequestId()
  await assertProblem(await bare({ 'X-Request-ID': requestId }), 400, 'guard_required')
  const withBody = await bare({ 'X-Request-ID': requestId, 'If-Match': '*' }, '{"version":1}')
  await assertProblem(withBody, 400, 'invalid_body')
  assert.equal((await put(url, { price: 1, version: 1 }, { 'X-Request-ID': requestId })).status, 200)
  const reused = await remove(`${app.url}/us/properties/99`, { 'X-Request-ID': requestId })
  await assertProblem(reused, 422, 'request_id_reused')
  await assertProblem(await remove(`${app.url}/us/properties/99`), 404, 'not_found')
  assert.equal((await remove(url, { 'If-Match': '"x", *' })).status, 400)
  assert.equal((await get('/us/properties/9')).status, 200)
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
  const encoders = {
    identity: (bytes: Buffer) => bytes,
    gzip: gzipSync,
    deflate: deflateSync,
    br: brotliCompressSync,
  }
  let version = 1
  for (const [encoding, encode] of Object.entries(encoders)) {
    const response = await put(url, encode(Buffer.from(titled(version))), { 'Content-Encoding': encoding })
    assert.equal(response.status, 200, encoding)
    version += 1
    assert.equal((await json(response))['title'], 'Größe 🏠')
  }
  const bomb = gzipSync(Buffer.alloc(10_000_000, ' '))
  await assertProblem(await put(url, bomb, { 'Content-Encoding': 'gzip' }), 413, 'body_too_large')
  for (const bytes of [Buffer.from('no gzip'), gzipSync('{}').subarray(0, 15), Buffer.alloc(0)]) {
    await assertProblem(await put(url, bytes, { 'Content-Encoding': 'gzip' }), 400, 'malformed_body')
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
