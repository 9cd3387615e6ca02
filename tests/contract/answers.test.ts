/** What a client is answered that asks as the contract says: reads, writes and their guards, deletion, retries. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import {
  assertCode,
  backendUrl,
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
} from './client.ts'
import { regionNames } from '../support/system.ts'

const otherThan = (region: string) => (region === 'us' ? 'eu' : 'us')

/** Another price than the present one. */
const later = (property: Json) => 1 + (Math.round(Number(property['price'])) % 900_000)

for (const region of regionNames) {
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
