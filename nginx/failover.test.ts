import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { waitUntil } from '../local/wait.ts'
import { ask, assertProblem, type Backend, type Behaviour, startEdge } from './edge-fixture.ts'

/** How long a request may take when the home region hangs: the read timeout of 900 ms and some air. */
const hungHomeMaxMs = 1_400

/** A fresh NGINX for one test, as a region that was found failing is remembered for two seconds. */
async function twoRegions(t: TestContext) {
  const edge = await startEdge({ us: 1, eu: 1 })
  t.after(() => edge.stop())
  const [us, eu] = [edge.backends['us']?.[0], edge.backends['eu']?.[0]]
  assert.ok(us && eu)
  return { edge, us, eu }
}

const summary = ({ received }: Backend) =>
  received.map(({ method, url, body, headers }) => [method, url, body, headers['x-request-id']])

describe('home fails', { concurrency: 4 }, () => {
  for (const behaviour of [502, 503, 504, 'die', 'hang'] satisfies Behaviour[]) {
    test(`${behaviour}: the other region answers a GET and a PUT, with its body`, async (t) => {
      const { edge, us, eu } = await twoRegions(t)
      us.behaviour = behaviour
      const headers = { 'X-Request-ID': 'r1' }
      const get = await ask(edge, '/us/properties/1')
      const put = await ask(edge, '/us/properties/1', { method: 'PUT', body: '{"price":1}', headers })
      for (const answer of [get, put]) {
        assert.deepEqual([answer.status, answer.servedBy, answer.failover], [200, 'eu', 'true'])
        assert.ok(answer.elapsedMs < hungHomeMaxMs, `${answer.elapsedMs} ms`)
      }
      const expected = [
        ['GET', '/us/properties/1', '', undefined],
        ['PUT', '/us/properties/1', '{"price":1}', 'r1'],
      ]
      assert.deepEqual(summary(eu), expected)
      assert.deepEqual(summary(us), expected, 'home was asked first, and once each')
    })
  }

  for (const behaviour of ['die', 'hang', 503] satisfies Behaviour[]) {
    test(`${behaviour}: a DELETE is sent on as a PUT is`, async (t) => {
      const { edge, us, eu } = await twoRegions(t)
      us.behaviour = behaviour
      const headers = { 'X-Request-ID': 'r1', 'If-Match': '"seed"' }
      const answer = await ask(edge, '/us/properties/1', { method: 'DELETE', headers })
      assert.deepEqual([answer.status, answer.servedBy, answer.failover], [200, 'eu', 'true'])
      const expected = [['DELETE', '/us/properties/1', '', 'r1']]
      assert.deepEqual([summary(us), summary(eu)], [expected, expected])
      assert.equal(eu.received[0]?.headers['if-match'], '"seed"')
    })
  }

  test('500: is the answer, not sent to the other region', async (t) => {
    const { edge, us, eu } = await twoRegions(t)
    us.behaviour = 500
    assert.equal((await ask(edge, '/us/properties/1')).status, 500)
    assert.equal(eu.received.length, 0)
  })

  for (const behaviour of ['die', 'hang', 503] satisfies Behaviour[]) {
    test(`${behaviour}: a POST is sent on only with a key`, async (t) => {
      const { edge, us, eu } = await twoRegions(t)
      us.behaviour = behaviour
      const path = '/us/properties?draft=1'
      const without = await ask(edge, path, { method: 'POST', body: '{"a":1}' })
      if (behaviour === 503) assert.deepEqual([without.status, without.servedBy], [503, 'us'])
      else assertProblem(without, 503, 'region_unavailable')
      assert.equal(eu.received.length, 0)

      const headers = { 'X-Request-ID': 'k1' }
      const keyed = await ask(edge, path, { method: 'POST', body: '{"a":1}', headers })
      assert.deepEqual([keyed.status, keyed.servedBy, keyed.failover], [200, 'eu', 'true'])
      assert.deepEqual(summary(eu), [['POST', path, '{"a":1}', 'k1']])
    })
  }

  test('killed: no request fails, and the traffic comes back', async (t) => {
    const { edge, us, eu } = await twoRegions(t)
    await us.kill()
    for (let i = 0; i < 20; i++) {
      const answer = await ask(edge, '/us/properties/1')
      assert.deepEqual([answer.status, answer.servedBy, answer.failover], [200, 'eu', 'true'])
    }
    assert.equal(eu.received.length, 20)
    await us.restart()
    const timeoutMs = 5_000
    const homeAnswers = async () => (await ask(edge, '/us/properties/1')).servedBy === 'us'
    await waitUntil(homeAnswers, { timeoutMs, what: 'home to be asked again' })
    const homeAlone = async () => {
      eu.received.length = 0
      for (let i = 0; i < 20; i++) await ask(edge, '/us/properties/1')
      return eu.received.length === 0
    }
    await waitUntil(homeAlone, { timeoutMs, what: 'the stand-in to be left alone' })
  })

  test('one slow request: the traffic stays', async (t) => {
    const { edge, us, eu } = await twoRegions(t)
    us.behaviour = 'hang'
    assert.equal((await ask(edge, '/us/properties/1')).servedBy, 'eu')
    us.behaviour = 'ok'
    for (let i = 0; i < 20; i++) assert.equal((await ask(edge, '/us/properties/1')).servedBy, 'us')
    assert.equal(eu.received.length, 1)
  })
})

describe('no region answers', { concurrency: 4 }, () => {
  for (const behaviour of ['die', 'hang'] satisfies Behaviour[]) {
    test(`${behaviour}: 503 region_unavailable with Retry-After, within 2.5 s`, async (t) => {
      const { edge, us, eu } = await twoRegions(t)
      us.behaviour = behaviour
      eu.behaviour = behaviour
      const answer = await ask(edge, '/us/properties/1')
      assertProblem(answer, 503, 'region_unavailable')
      assert.equal(answer.headers.get('retry-after'), '1')
      assert.ok(answer.elapsedMs < 2_500, `${answer.elapsedMs} ms`)
      assert.deepEqual([us.received.length, eu.received.length], [1, 1])
    })
  }

  test('503: the document of the backend that was asked last is passed on', async (t) => {
    const { edge, us, eu } = await twoRegions(t)
    us.behaviour = 503
    eu.behaviour = 503
    const answer = await ask(edge, '/us/properties/1')
    assert.deepEqual([answer.status, answer.servedBy], [503, 'eu'])
  })

  test('a stand-in that failed is asked again by the very next request', async (t) => {
    const { edge, us, eu } = await twoRegions(t)
    await us.kill()
    await eu.kill()
    for (let i = 0; i < 10; i++) assertProblem(await ask(edge, '/us/x'), 503, 'region_unavailable')
    await eu.restart()
    assert.equal((await ask(edge, '/us/x')).servedBy, 'eu')
  })
})

/** What also happens when the address of a looked-up name changes while a request is between two tries. */
test('a request that NGINX gives up between two tries is begun anew, unless it may not be sent twice', async (t) => {
  const { edge, us, eu } = await twoRegions(t)
  await us.kill()
  for (let i = 0; i < 3; i++) assert.equal((await ask(edge, '/us/x')).servedBy, 'eu')
  eu.received.length = 0

  eu.behaviour = 'die once'
  const put = await ask(edge, '/us/x', { method: 'PUT', body: 'a', headers: { 'X-Request-ID': 'r1' } })
  assert.deepEqual([put.status, put.servedBy], [200, 'eu'])
  assert.deepEqual(
    summary(eu),
    [1, 2].map(() => ['PUT', '/us/x', 'a', 'r1']),
  )

  eu.received.length = 0
  eu.behaviour = 'die once'
  assertProblem(await ask(edge, '/us/x', { method: 'POST', body: 'a' }), 503, 'region_unavailable')
  assert.equal(eu.received.length, 1)
})

test('two backends in a region: one dead, the other serves; both dead, the other region does', async (t) => {
  const edge = await startEdge({ us: 2, eu: 1 })
  t.after(() => edge.stop())
  const [first, second] = edge.backends['us'] ?? []
  assert.ok(first && second)
  const ports = new Set<unknown>()
  for (let i = 0; i < 20; i++) ports.add((await ask(edge, '/us/x')).body['port'])
  assert.deepEqual(ports, new Set([first.port, second.port]))

  first.behaviour = 'die'
  for (let i = 0; i < 5; i++) {
    assert.deepEqual((await ask(edge, '/us/x')).body, { region: 'us', port: second.port })
  }
  second.behaviour = 'die'
  for (let i = 0; i < 5; i++) assert.equal((await ask(edge, '/us/x')).servedBy, 'eu')
})

test('three regions: each is reached by its prefix, both others stand in, and each alone serves all', async (t) => {
  const edge = await startEdge({ us: 1, eu: 1, ap: 1 })
  t.after(() => edge.stop())
  assert.equal((await ask(edge, '/ap/x')).servedBy, 'ap')
  await edge.backends['ap']?.[0]?.kill()
  const standIns = new Set<unknown>()
  for (let i = 0; i < 20; i++) standIns.add((await ask(edge, '/ap/x')).servedBy)
  assert.deepEqual(standIns, new Set(['us', 'eu']))
  await edge.backends['us']?.[0]?.kill()
  for (let i = 0; i < 20; i++) {
    for (const path of ['/ap/x', '/us/x']) assert.equal((await ask(edge, path)).servedBy, 'eu')
  }
})
