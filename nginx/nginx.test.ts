import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import { ask, assertProblem, type Backend, type Edge, sendRaw, startEdge } from './edge-fixture.ts'
import { renderNginxConfig, renderRegions } from './render.ts'

const rawRequest = (line: string, headers = '') =>
  `${line} HTTP/1.1\r\nHost: a\r\n${headers}Content-Length: 0\r\n\r\n`

describe('routing', () => {
  let edge: Edge
  let us: Backend
  let eu: Backend

  before(async () => {
    edge = await startEdge({ us: 1, eu: 1 })
    const [first, second] = [edge.backends['us']?.[0], edge.backends['eu']?.[0]]
    assert.ok(first && second)
    us = first
    eu = second
  })
  after(() => edge.stop())
  beforeEach(() => {
    us.received.length = 0
    eu.received.length = 0
  })
  const assertNothingForwarded = () => assert.deepEqual([...us.received, ...eu.received], [])

  test('a prefix leads to its region; path, query and headers arrive as they were sent', async () => {
    assert.equal((await ask(edge, '/eu/properties/7')).servedBy, 'eu')
    const path = '/us/properties/7%20a?x=%2F..//%2e&y'
    assert.equal((await ask(edge, path, { headers: { 'If-Match': '"a"' } })).servedBy, 'us')
    assert.deepEqual([us.received.length, eu.received.length], [1, 1])
    const { url, headers } = us.received[0] ?? {}
    assert.equal(url, path)
    assert.equal(headers?.['if-match'], '"a"')
    assert.equal(headers?.host, `127.0.0.1:${edge.port}`)
    assert.equal(headers?.['x-forwarded-for'], '127.0.0.1')
    assert.equal(headers?.['x-forwarded-proto'], 'http')
  })

  test('X-Request-ID goes through untouched, a doubled one is seen as such, a missing one stays missing', async () => {
    await sendRaw(edge, rawRequest('PUT /us/x', 'X-Request-ID: unique-uuid-1234\r\n'))
    await sendRaw(edge, rawRequest('PUT /us/x', 'X-Request-ID: a\r\nX-Request-ID: b\r\n'))
    await sendRaw(edge, rawRequest('PUT /us/x'))
    assert.deepEqual(
      us.received.map(({ headers }) => headers['x-request-id']),
      ['unique-uuid-1234', 'a, b', undefined],
    )
  })

  test('HTTP/1.0 without Host is served', async () => {
    assert.equal((await sendRaw(edge, 'GET /us/health HTTP/1.0\r\n\r\n')).servedBy, 'us')
  })

  test('a body between the limits of backend and NGINX reaches the backend', async () => {
    assert.equal((await ask(edge, '/us/x', { method: 'PUT', body: 'x'.repeat(120_000) })).status, 200)
    assert.equal(us.received[0]?.body.length, 120_000)
  })

  test('the index names the regions; the health check answers', async () => {
    const index = await ask(edge, '/')
    assert.deepEqual([index.status, index.servedBy, index.body['regions']], [200, 'nginx', ['us', 'eu']])
    assert.deepEqual((await ask(edge, '/nginx-health')).body, { status: 'ok' })
    assertNothingForwarded()
  })

  const kilobytes20 = 'x'.repeat(20_000)
  const refused: [what: string, request: string, status: number, code: string][] = [
    ['request line', 'GET\r\n\r\n', 400, 'bad_request'],
    ['control character in the path', rawRequest('GET /us/\x01'), 400, 'bad_request'],
    ['no Host', 'GET /us/health HTTP/1.1\r\n\r\n', 400, 'bad_request'],
    ['space in a header name', rawRequest('GET /us/health', 'X Y: z\r\n'), 400, 'bad_request'],
    ['two lengths', rawRequest('PUT /us/x', 'Content-Length: 1\r\n'), 400, 'bad_request'],
    ['TRACE', rawRequest('TRACE /us/health'), 405, 'method_not_allowed'],
    ['POST /', rawRequest('POST /'), 405, 'method_not_allowed'],
    ['body', 'PUT /us/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n', 413, 'body_too_large'],
    ['long path', rawRequest(`GET /us/${kilobytes20}`), 414, 'uri_too_long'],
    ['long header', rawRequest('GET /us/x', `X: ${kilobytes20}\r\n`), 431, 'headers_too_large'],
    [
      'transfer coding',
      'PUT /us/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: foo\r\n\r\n',
      501,
      'not_implemented',
    ],
    ['version', 'GET /us/health HTTP/3.0\r\nHost: a\r\n\r\n', 505, 'http_version_not_supported'],
  ]
  for (const [what, request, status, code] of refused) {
    test(`refused with a problem document: ${what} (${status})`, async () => {
      assertProblem(await sendRaw(edge, request), status, code)
      assertNothingForwarded()
    })
  }

  const metrics = ['/metrics', '/us/metrics', '/us/METRICS/', '/eu/%6detrics?x']
  const outside = ['/properties/1', '/health', '/usa/health', '/US/health', '/%75s/health', '/favicon.ico']
  for (const path of [...metrics, ...outside, '/_problem', '/_keyed']) {
    test(`nothing at ${path}`, async () => {
      assertProblem(await ask(edge, path), 404, 'unknown_path')
      assertNothingForwarded()
    })
  }

  const raw = [
    '//us/health',
    '/us//health',
    '/us/./health',
    '/us/../eu/health',
    '/us/..',
    '/us/.git',
    '/us/a\\b',
  ]
  const encoded = ['/us/%2e%2e/eu/health', '/us/%2E', '/us/a%2Fb', '/us/a%5cb', '/us/a%00', '/us/%2']
  for (const path of [...raw, ...encoded, '/../..', '/nginx-health/../us/health', '/us/../nginx-health']) {
    test(`ambiguous path refused: ${path}`, async () => {
      assertProblem(await sendRaw(edge, rawRequest(`GET ${path}`)), 400, 'bad_request')
      assertNothingForwarded()
    })
  }

  test('an answer of NGINX itself is logged with the method that was asked, and escaped', async () => {
    const requestId = `a\\"${randomUUID()}`
    await sendRaw(edge, rawRequest('PUT /us//x', `X-Request-ID: ${requestId}\r\n`))
    const { method, status, served_by, failover, request_id } = await edge.logLine(requestId)
    assert.deepEqual(
      [method, status, served_by, failover, request_id],
      ['PUT', 400, 'nginx', false, requestId],
    )
  })
})

test('the access log is one JSON object a line, with who was asked and who answered', async (t) => {
  const edge = await startEdge({ us: 1, eu: 1 })
  t.after(() => edge.stop())
  const [us, eu] = [edge.backends['us']?.[0], edge.backends['eu']?.[0]]
  assert.ok(us && eu)
  us.behaviour = 'die'
  const requestId = randomUUID()
  await ask(edge, '/us/properties/1?q="', { method: 'PUT', headers: { 'X-Request-ID': requestId } })
  const { time, request_time, bytes_sent, upstream_response_time, ...line } = await edge.logLine(requestId)
  assert.deepEqual(line, {
    request_id: requestId,
    remote_addr: '127.0.0.1',
    method: 'PUT',
    uri: '/us/properties/1?q=%22',
    status: 200,
    region: 'us',
    served_by: 'eu',
    failover: true,
    upstream_addr: `127.0.0.1:${us.port}, 127.0.0.1:${eu.port}`,
    upstream_status: '502, 200',
  })
  assert.ok(Number.isFinite(Date.parse(String(time))))
  assert.deepEqual([typeof request_time, typeof bytes_sent], ['number', 'number'])
  assert.match(String(upstream_response_time), /^\d+\.\d{3}, \d+\.\d{3}$/)
})

describe('the configuration', () => {
  test("compose's regions.conf is what render.ts makes", async () => {
    const upstreams = { us: ['backends-us:3000'], eu: ['backends-eu:3000'] }
    const committed = await readFile(join(import.meta.dirname, 'regions.conf'), 'utf8')
    assert.equal(committed, renderRegions({ upstreams, resolver: '127.0.0.11' }))
  })

  test('every variable is filled in, and what would break out of it is refused', () => {
    const options = { listen: '1', upstreams: { us: ['h:1'] }, pidFile: '/p', tempDir: '/t', accessLog: '/a' }
    assert.equal(/\$\{\w+\}/.exec(renderNginxConfig(options)), null)
    assert.throws(() => renderNginxConfig({ ...options, pidFile: '/a"; x "' }), /cannot use this path/)
    assert.throws(() => renderNginxConfig({ ...options, upstreams: { 'us;': ['h:1'] } }), /not a region name/)
  })
})
