/**
 * The HTTP contract through real NGINX, from outside: BASE_URL names a running system; without it a whole one is
 * started on free ports and removed afterwards.
 *
 * It can be run again and again against a used system: it reads before it writes, works on properties picked at
 * random, and no request id comes twice but on purpose: every mutating request is sent twice.
 */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import {
  assertCode,
  backendUrl,
  connect,
  freshId,
  get,
  isFresh,
  pick,
  put,
  remove,
  send,
  writeHeaders,
  type Fields,
  type Json,
} from './contract-client.ts'

const regions = ['us', 'eu']
const otherThan = (region: string) => (region === 'us' ? 'eu' : 'us')

/** Another price than the present one. */
const later = (property: Json) => 1 + (Math.round(Number(property['price'])) % 900_000)

const good = '{"price":1,"version":1}'
const idLine = () => `X-Request-ID: ${freshId()}`

function putBytes(body: string, ...headers: string[]): string {
  const lines = ['PUT /us/properties/2 HTTP/1.1', 'Host: x', 'Content-Type: application/json', ...headers]
  return [...lines, `Content-Length: ${body.length}`, '', body].join('\r\n')
}

for (const region of regions) {
  suite(`/${region}`, () => {
    test('health, ready, lag, conflicts', async () => {
      const health = await get(`/${region}/health`)
      assert.deepEqual([health.status, health.body['status'], health.body['region']], [200, 'ok', region])
      assert.equal(health.headers.get('x-served-by'), region)
      assert.equal((await get(`/${region}/ready`)).status, 200)
      const { status, body } = await get(`/${region}/replication-lag`)
      assert.deepEqual([status, body['region']], [200, region])
      const sources = body['sources'] as Record<string, Json>
      assert.deepEqual(Object.keys(sources), [otherThan(region)])
      for (const lag of [body['lag_seconds'], sources[otherThan(region)]?.['lag_seconds']]) {
        assert.ok(lag === null || (typeof lag === 'number' && lag >= 0), `lag ${String(lag)}`)
      }
      for (const path of [`/${region}/conflicts`, `/${region}/properties/2/conflicts`]) {
        assert.ok(Array.isArray((await get(path)).body['conflicts']))
      }
    })

    test('reading a property', async () => {
      const { path, property, etag } = await pick(region)
      const types = Object.fromEntries(Object.entries(property).map(([name, value]) => [name, typeof value]))
      assert.deepEqual(types, {
        id: 'number',
        region_origin: 'string',
        price: 'number',
        bedrooms: 'number',
        bathrooms: 'number',
        title: 'string',
        description: 'string',
        status: 'string',
        version: 'number',
        updated_at: 'string',
        etag: 'string',
      })
      assert.match(String(property['updated_at']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
      const whole = await get(path)
      assert.equal(whole.headers.get('etag'), etag)
      for (const tag of [etag, `W/${etag}`, '*', `"x", ${etag}`]) {
        const unchanged = await get(path, { 'If-None-Match': tag })
        assert.deepEqual([unchanged.status, unchanged.text, unchanged.headers.get('etag')], [304, '', etag])
      }
      assert.equal((await get(path, { 'If-None-Match': '"x"' })).status, 200)
      const head = await send('HEAD', path)
      assert.deepEqual([head.status, head.text, head.headers.get('etag')], [200, '', etag])
    })

    test('paths, ids and methods', async () => {
      assertCode(await get(`/${region}/properties/999999999`), 404, 'not_found')
      assertCode(await get(`/${region}/properties/999999999/conflicts`), 404, 'not_found')
      for (const id of ['0', '-1', '+1', '01', '1.0', '1e3', 'abc', '9007199254740992', '%31x', "1'--"]) {
        assertCode(await get(`/${region}/properties/${id}`), 400, 'invalid_id')
        assertCode(await put(`/${region}/properties/${id}`, { price: 1, version: 1 }), 400, 'invalid_id')
      }
      assertCode(await get(`/${region}/nothing`), 404, 'unknown_path')
      for (const path of ['/mars/health', '/health', '/properties/1', `/${region}/metrics`, '/metrics']) {
        assert.equal((await get(path)).status, 404, path)
      }
      const wrong = await send('PATCH', `/${region}/properties/2`, writeHeaders())
      assertCode(wrong, 405, 'method_not_allowed')
      assert.equal(wrong.headers.get('allow'), 'GET, HEAD, PUT, DELETE')
      assert.equal((await get(`/${region}/properties/%ff`)).status, 400)
    })

    test('a write changes what it names, and only that', async () => {
      const { path, property, version } = await pick(region)
      const price = later(property) + 0.25
      const changed = await put(path, { price, version })
      const { updated_at: updatedAt, etag, ...rest } = changed.body
      const {
        updated_at: _,
        etag: oldEtag,
        ...expected
      } = { ...property, price, version: version + 1 } as Json
      assert.deepEqual(rest, expected)
      assert.notEqual(etag, oldEtag)
      assert.ok(String(updatedAt) > String(property['updated_at']))
      assert.deepEqual((await get(path)).body, changed.body)
      const same = await put(path, { price, version: version + 1 })
      assert.deepEqual(
        [same.status, same.body['version']],
        [200, version + 2],
        'an equal value is a write too',
      )
      const back = await put(path, { ...same.body, title: 'Größe 🏠 "quoted"' })
      assert.deepEqual(
        [back.status, back.body['title']],
        [200, 'Größe 🏠 "quoted"'],
        'a property as it was read',
      )
      const zipped = gzipSync(JSON.stringify({ bathrooms: 2.5, version: version + 3 }))
      assert.equal((await put(path, zipped, { 'Content-Encoding': 'gzip' })).body['bathrooms'], 2.5)
    })

    test('every guard that is sent must hold; a refusal has the current state and leaves the id free', async () => {
      const { path, property, version, etag } = await pick(region)
      const price = later(property)
      const refused: [body: Json, headers: Fields, status: number, code: string][] = [
        [{ price, version: version + 1 }, {}, 409, 'version_conflict'],
        [{ price, etag: '"x"' }, {}, 409, 'version_conflict'],
        [{ price, version, etag: '"us.nobody:1"' }, {}, 409, 'version_conflict'],
        [{ price, version: version + 1, etag }, {}, 409, 'version_conflict'],
        [{ price, version: version + 1 }, { 'If-Match': etag }, 409, 'version_conflict'],
        [{ price, version: version + 1 }, { 'If-Match': '"us.nobody:1"' }, 412, 'precondition_failed'],
        [{ price, version }, { 'If-Match': `W/${etag}` }, 412, 'precondition_failed'],
      ]
      const requestId = freshId()
      for (const [body, headers, status, code] of refused) {
        const answer = await put(path, body, { ...headers, 'X-Request-ID': requestId })
        assertCode(answer, status, code)
        assert.deepEqual(answer.body['current'], property)
        assert.equal(answer.headers.get('etag'), etag)
      }
      const first = await put(
        path,
        { price, version, etag },
        { 'If-Match': `"x", ${etag}`, 'X-Request-ID': requestId },
      )
      assert.equal(first.status, 200)
      const byTag = await put(path, { price: price + 1 }, { 'If-Match': String(first.body['etag']) })
      assert.equal(byTag.body['version'], version + 2)
      assert.equal((await put(path, { price }, { 'If-Match': '*' })).body['version'], version + 3)
      const reused = { 'X-Request-ID': requestId }
      assertCode(await put(path, { price, version: version + 3 }, reused), 422, 'request_id_reused')
      assertCode(
        await put(`/${region}/properties/999999999`, { price, version: 1 }, reused),
        422,
        'request_id_reused',
      )
      assertCode(await put(`/${region}/properties/999999999`, { price, version: 1 }), 404, 'not_found')
    })

    test('a deletion, the tombstone, and its restoration', async () => {
      const { path, property, version, etag } = await pick(region)
      assertCode(await send('DELETE', path, { 'If-Match': '*' }), 400, 'missing_request_id')
      assertCode(await send('DELETE', path, { 'X-Request-ID': freshId() }), 400, 'guard_required')
      assertCode(await send('DELETE', path, writeHeaders({ 'If-Match': '*' }), '{}'), 400, 'invalid_body')
      const headers = { 'X-Request-ID': freshId() }
      const nowhere = `/${region}/properties/999999999`
      assertCode(await remove(nowhere, { 'If-Match': '*', ...headers }), 404, 'not_found')
      const stale = await remove(path, { 'If-Match': '"us.nobody:1"', ...headers })
      assert.deepEqual([stale.body['code'], stale.body['current']], ['precondition_failed', property])
      const removed = await remove(path, { 'If-Match': etag, ...headers })
      assert.equal(removed.status, 204)
      assertCode(await remove(nowhere, { 'If-Match': '*', ...headers }), 422, 'request_id_reused')

      const tombstone = { version: version + 1, etag: removed.headers.get('etag') }
      const another = { 'X-Request-ID': freshId() }
      for (const refused of [
        await get(path),
        await remove(path, { 'If-Match': '*', ...another }),
        await put(path, { price: later(property), version: version + 1 }, another),
        await put(path, property, another),
      ]) {
        assertCode(refused, 404, 'deleted')
        assert.deepEqual([refused.body['version'], refused.body['etag']], Object.values(tombstone))
      }
      assert.equal((await send('HEAD', path)).status, 404)
      assert.equal((await get(`${path}/conflicts`)).status, 200)
      assertCode(await put(path, { deleted: false, version }, another), 409, 'version_conflict')
      const restored = await put(path, { deleted: false, bedrooms: 7, ...tombstone }, another)
      const { etag: _, updated_at: __, ...rest } = restored.body
      const { etag: ___, updated_at: ____, ...expected } = property
      assert.deepEqual(rest, { ...expected, bedrooms: 7, version: version + 2 })
      assert.deepEqual((await get(path)).body, restored.body)
    })

    test('wrong members are named, and nothing happens', async () => {
      const { path, property, version } = await pick(region)
      const wrong: Record<string, unknown[]> = {
        price: [-1, 1.005, 1e12, 1e308, '1', null, [1]],
        bedrooms: [-1, 1001, 1.5, '2'],
        bathrooms: [0.25, 1000.5, null],
        title: ['x'.repeat(201), 1, 'a\u0000b', '\ud800'],
        description: ['x'.repeat(10_001)],
        status: ['gone', 1],
        version: [0, 1.5, '1', 2 ** 53],
        etag: [1],
        id: [1, '2', null],
        deleted: [true],
        vector: [{}],
        constructor: [1],
      }
      for (const [member, values] of Object.entries(wrong)) {
        for (const value of values) {
          const answer = await put(path, { bedrooms: 1, version, [member]: value })
          assertCode(answer, 400, 'invalid_body')
          assert.deepEqual(
            (answer.body['errors'] as Json[]).map((error) => error['member']),
            [member],
          )
        }
      }
      const texts: [body: string, code: string][] = [
        ['', 'invalid_json'],
        ['{', 'invalid_json'],
        ['{"price": NaN, "version": 1}', 'invalid_json'],
        ['['.repeat(10_000), 'invalid_json'],
        [`${'['.repeat(10_000)}${']'.repeat(10_000)}`, 'invalid_body'],
        ['{"price": 1e999, "version": 1}', 'invalid_body'],
        ['{"__proto__": {"price": 1}, "version": 1}', 'invalid_body'],
        ['[]', 'invalid_body'],
        ['null', 'invalid_body'],
        ['{"price": 1}', 'guard_required'],
        [`{"version": ${version}}`, 'nothing_to_change'],
        [`{"version": ${version}, "region_origin": "x", "updated_at": "y"}`, 'nothing_to_change'],
      ]
      for (const [text, code] of texts) assertCode(await put(path, text), 400, code)
      assertCode(await put(path, Buffer.from('{"title":"\xff"}', 'latin1')), 400, 'malformed_body')
      assertCode(await put(path, ' '.repeat(65_537)), 413, 'body_too_large')
      assert.deepEqual((await get(path)).body, property)
    })

    test('wrong headers, in the order in which they are checked', async () => {
      const { path, property, version } = await pick(region)
      const body = JSON.stringify({ price: 1, version })
      const json = { 'Content-Type': 'application/json' }
      assertCode(await send('PUT', path, json, body), 400, 'missing_request_id')
      for (const id of ['a, b', 'a b', 'x'.repeat(201), 'é']) {
        assertCode(
          await put(`/${region}/properties/0`, body, { 'X-Request-ID': id }),
          400,
          'invalid_request_id',
        )
      }
      assertCode(await put(path, body, { 'If-Match': 'unquoted' }), 400, 'invalid_header')
      assertCode(await put(path, body, { 'Content-Type': 'text/plain' }), 415, 'unsupported_media_type')
      const latin = { 'Content-Type': 'application/json; charset=iso-8859-1' }
      assertCode(await put(path, body, latin), 415, 'unsupported_charset')
      assertCode(await put(path, body, { 'Content-Encoding': 'zstd' }), 415, 'unsupported_encoding')
      assertCode(await put(path, body, { 'Content-Encoding': 'gzip' }), 400, 'malformed_body')
      assert.deepEqual((await get(path)).body, property)
    })

    test('of concurrent writes to one version one is accepted; one request id takes effect once', async () => {
      const { path, id: firstId, version } = await pick(region)
      const write = (price: number, headers: Fields) =>
        send('PUT', path, headers, JSON.stringify({ price, version }))
      const race = await Promise.all(Array.from({ length: 10 }, (_, index) => write(index, writeHeaders())))
      assert.deepEqual(
        race.map(({ status }) => status).toSorted((a, b) => a - b),
        [200, ...Array<number>(9).fill(409)],
      )
      const headers = writeHeaders()
      const ids = Array.from({ length: 20 }, (_, index) => firstId + 2 * index)
      const spread = await Promise.all(
        ids.map((id) =>
          send('PUT', `/${region}/properties/${id}`, { ...headers, 'If-Match': '*' }, '{"bedrooms":4}'),
        ),
      )
      assert.deepEqual(
        spread.map(({ status }) => status).toSorted((a, b) => a - b),
        [200, ...Array<number>(19).fill(422)],
      )
    })
  })
}

suite('raw connections', () => {
  test('a refusal by the backend leaves the connection usable', async () => {
    const client = await connect()
    const cases: [bytes: string, status: number, code: string][] = [
      [putBytes(good, idLine(), idLine()), 400, 'invalid_request_id'],
      [putBytes(good, 'X-Request-ID: same', 'X-Request-ID: same'), 400, 'invalid_request_id'],
      [putBytes(good, 'X-Request-ID: '), 400, 'invalid_request_id'],
      [putBytes('['.repeat(10_000), idLine()), 400, 'invalid_json'],
      [putBytes('x'.repeat(100_000), idLine()), 413, 'body_too_large'],
    ]
    for (const [bytes, status, code] of [...cases, ...cases]) {
      client.send(bytes)
      const answer = await client.answer()
      assert.deepEqual([answer.status, (JSON.parse(answer.body) as Json)['code']], [status, code])
      client.send('GET /us/health HTTP/1.1\r\nHost: x\r\n\r\n')
      assert.equal((await client.answer()).status, 200)
    }
    client.close()
  })

  test('what NGINX refuses itself is a problem too', async () => {
    const cases: [bytes: string, statuses: number[]][] = [
      [putBytes('x'.repeat(1_000_000), idLine()), [413]],
      ['NONSENSE\r\n\r\n', [400]],
      ['GET /us/health HTTP/1.1\r\n\r\n', [400]],
      ['GET /us/health HTTP/9.9\r\nHost: x\r\n\r\n', [400, 505]],
      [`GET /us/health HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(20_000)}\r\n\r\n`, [431]],
      [`GET /us/${'x'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, [414]],
      ['GET /us/../us/health HTTP/1.1\r\nHost: x\r\n\r\n', [400]],
      ['GET /us//health HTTP/1.1\r\nHost: x\r\n\r\n', [400]],
    ]
    for (const [bytes, statuses] of cases) {
      const client = await connect()
      client.send(bytes)
      const { status, headers, body } = await client.answer()
      assert.ok(statuses.includes(status), `${status} for ${bytes.slice(0, 60)}`)
      assert.equal(headers['content-type'], 'application/problem+json', body)
      assert.equal(headers['x-served-by'], 'nginx')
      assert.equal((JSON.parse(body) as Json)['status'], status)
      client.close()
    }
  })
})

test('the first example of the README works on a fresh system', { skip: !isFresh }, async () => {
  const headers = { 'Content-Type': 'application/json', 'X-Request-ID': 'unique-uuid-1234' }
  const answer = await send('PUT', '/us/properties/1', headers, '{"price": 1250000.50, "version": 1}')
  assert.deepEqual([answer.status, answer.body['price'], answer.body['version']], [200, 1_250_000.5, 2])
})

test(
  'a backend that is called directly needs no prefix and shows its metrics',
  { skip: !isFresh },
  async () => {
    for (const path of [
      '/health',
      '/ready',
      '/replication-lag',
      '/conflicts',
      '/properties/1',
      '/properties/1/conflicts',
    ]) {
      const response = await fetch(`${backendUrl('eu')}${path}`)
      assert.deepEqual([response.status, response.headers.get('x-served-by')], [200, 'eu'], path)
      await response.text()
    }
    const failedOver = await fetch(`${backendUrl('eu')}/us/properties/1`)
    assert.equal(failedOver.headers.get('x-failover'), 'true')
    await failedOver.text()
    const metrics = await fetch(`${backendUrl('eu')}/metrics`)
    assert.match(await metrics.text(), /outcome="ok"/)
  },
)
