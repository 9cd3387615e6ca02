/** What is refused, by whom, with which code, and that a refusal changes nothing. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { assertCode, connect, freshId, get, pick, put, send, writeHeaders, type Json } from './client.ts'
import { regionNames } from '../support/system.ts'

const good = '{"price":1,"version":1}'
const idLine = () => `X-Request-ID: ${freshId()}`

function putBytes(body: string, ...headers: string[]): string {
  const lines = ['PUT /us/properties/2 HTTP/1.1', 'Host: x', 'Content-Type: application/json', ...headers]
  return [...lines, `Content-Length: ${body.length}`, '', body].join('\r\n')
}

for (const region of regionNames) {
  suite(`/${region}`, () => {
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
