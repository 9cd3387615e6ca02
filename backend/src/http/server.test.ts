import assert from 'node:assert/strict'
import { Agent, request as httpRequest } from 'node:http'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { startServer } from './server.ts'
import { RawClient, type RawAnswer } from './testing/raw-client.ts'
import { freshRequestId, startTestApp, type TestApp } from './testing/test-app.ts'

let app: TestApp
before(async () => {
  app = await startTestApp()
})
after(() => app.drain())

async function withClient<T>(use: (client: RawClient) => Promise<T>): Promise<T> {
  const client = await RawClient.open(app.port)
  try {
    return await use(client)
  } finally {
    client.close()
  }
}

/** The bytes of a PUT of property 1, with a good id unless a header line replaces it. */
function putBytes(body: string, ...headers: string[]): string {
  const lines = headers.some((line) => /^x-request-id/i.test(line))
    ? headers
    : [`X-Request-ID: ${freshRequestId()}`, ...headers]
  const all = ['PUT /us/properties/1 HTTP/1.1', 'Host: x', 'Content-Type: application/json', ...lines]
  return [...all, `Content-Length: ${Buffer.byteLength(body)}`, '', body].join('\r\n')
}

/** Keeps the store from answering until `release`; `begun` has an entry for each request that has got to it. */
function hold({ store }: TestApp): { begun: readonly number[]; release: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  const begun: number[] = []
  store.gate = () => {
    begun.push(performance.now())
    return promise
  }
  return { begun, release: resolve }
}

const getBytes = 'GET /us/properties/1 HTTP/1.1\r\nHost: x\r\n\r\n'

function assertProblem(answer: RawAnswer, status: number, code: string): void {
  assert.equal(answer.status, status, answer.body)
  assert.equal(answer.headers['content-type'], 'application/problem+json')
  assert.equal(answer.headers['x-served-by'], 'us')
  assert.equal((JSON.parse(answer.body) as { code: string }).code, code)
}

test('after a refused body the connection serves the next request', async () => {
  const claimsBefore = app.store.claims.size
  await withClient(async (client) => {
    const refusals: [bytes: string, status: number, code: string][] = [
      [putBytes('x'.repeat(1_000_000)), 413, 'body_too_large'],
      [putBytes('['.repeat(10_000)), 400, 'invalid_json'],
      [putBytes('{"price":1,"version":1}', 'X-Request-ID: a', 'X-Request-ID: a'), 400, 'invalid_request_id'],
      [putBytes('{"price":1,"version":1}', 'Content-Type: text/plain'), 400, 'invalid_header'],
      [putBytes('{"price":1,"version":1}', 'Content-Encoding: gzip'), 400, 'malformed_body'],
      [
        putBytes('{}', 'X-Request-ID: ').replace('/us/properties/1', '/us/properties/zero'),
        400,
        'invalid_request_id',
      ],
      ['GET /us/health HTTP/1.1\r\n\r\n', 400, 'invalid_header'],
      ['OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n', 404, 'unknown_path'],
      ['GET //us//health HTTP/1.1\r\nHost: x\r\n\r\n', 404, 'unknown_path'],
    ]
    for (const [bytes, status, code] of refusals) {
      client.send(bytes)
      assertProblem(await client.answer(), status, code)
      client.send(getBytes)
      assert.equal((await client.answer()).status, 200, code)
    }
    const chunk = `${(60_000).toString(16)}\r\n${' '.repeat(60_000)}\r\n`
    const chunked = 'Content-Type: application/json\r\nTransfer-Encoding: chunked'
    const id = `X-Request-ID: ${freshRequestId()}`
    client.send(
      `PUT /us/properties/1 HTTP/1.1\r\nHost: x\r\n${id}\r\n${chunked}\r\n\r\n${chunk.repeat(20)}0\r\n\r\n`,
    )
    assertProblem(await client.answer(), 413, 'body_too_large')
    client.send(getBytes.replace('GET', 'HEAD'))
    assert.equal((await client.answer({ head: true })).status, 200)
    client.send(getBytes)
    assert.equal((await client.answer()).status, 200)
  })
  assert.equal(app.store.claims.size, claimsBefore, 'no refused request has an effect')
})

test('If-Match may be sent as several lines', async () => {
  await withClient(async (client) => {
    client.send(putBytes('{"title":"x"}', 'If-Match: "other"', 'If-Match: "seed"'))
    assert.equal((await client.answer()).status, 200)
    client.send(putBytes('{"title":"y"}', 'If-Match: "other"', 'If-Match: W/"seed"'))
    assertProblem(await client.answer(), 412, 'precondition_failed')
  })
})

test('what is no HTTP is answered as a problem, and the connection closed', async () => {
  const cases: [bytes: string, status: number, code: string][] = [
    ['NONSENSE\r\n\r\n', 400, 'bad_request'],
    ['BREW /us/health HTTP/1.1\r\nHost: x\r\n\r\n', 400, 'bad_request'],
    ['GET /us/health HTTP/1.1\r\nHost: x\r\nBroken header\r\n\r\n', 400, 'bad_request'],
    [putBytes('{}', 'Transfer-Encoding: chunked'), 400, 'bad_request'],
    [putBytes('{}', 'Content-Length: 3'), 400, 'bad_request'],
    [
      `GET /us/health HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(1_000_000)}\r\n\r\n`,
      431,
      'headers_too_large',
    ],
    [`GET /us/${'x'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 431, 'headers_too_large'],
    ['GET /us/health HTTP/1.1\r\nHost: x\r\nExpect: wonders\r\n\r\n', 417, 'expectation_failed'],
  ]
  for (const [bytes, status, code] of cases) {
    await withClient(async (client) => {
      client.send(bytes)
      const answer = await client.answer()
      assertProblem(answer, status, code)
      assert.equal(answer.headers['connection'], 'close')
      assert.equal(await client.closed(), '')
    })
  }
})

test('nonsense in a pipeline does not cut off the answers before it', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  app.store.gate = () => promise
  await withClient(async (client) => {
    client.send(`${getBytes.repeat(3)}NONSENSE\r\n\r\n`)
    await sleep(20)
    resolve()
    for (let answer = 0; answer < 3; answer++) assert.equal((await client.answer()).status, 200)
    assertProblem(await client.answer(), 400, 'bad_request')
  })
})

test('a body that breaks off in a pipeline is not answered in place of what was asked before', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  app.store.gate = () => promise
  const client = await RawClient.open(app.port)
  const head = `PUT /us/properties/1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Request-ID: ${freshRequestId()}`
  client.send(`${getBytes}${head}\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n`)
  await assert.rejects(client.answer())
  resolve()
})

test('a connection has a few requests under way; more are refused in their turn, and nothing of them is begun', async () => {
  const own = await startTestApp()
  const { begun, release } = hold(own)
  const client = await RawClient.open(own.port)
  client.send(getBytes.repeat(1_000))
  while (begun.length === 0) await sleep(5)
  release()
  const statuses: number[] = []
  while (statuses.at(-1) !== 429) {
    const answer = await client.answer()
    statuses.push(answer.status)
    if (answer.status === 200) continue
    assertProblem(answer, 429, 'overloaded')
    assert.equal(answer.headers['retry-after'], '1')
    assert.equal(answer.headers['connection'], 'close')
  }
  assert.equal(await client.closed(), '')
  assert.equal(begun.length, statuses.length - 1)
  assert.ok(begun.length < 100, `${begun.length} requests were begun`)
  await own.drain()
})

test('a client that does not read its answer is cut, one that reads slowly is not', async () => {
  const stalledTimeoutMs = 300
  const answer = Buffer.alloc(32_000_000)
  const log = pino({ level: 'silent' })
  const options = { host: '127.0.0.1', port: 0, region: 'us', log, stalledTimeoutMs }
  const server = await startServer((_, response) => response.end(answer), options)
  const ask = async (): Promise<Socket> => {
    const socket = connect({ port: server.port, host: '127.0.0.1' }).pause()
    await once(socket, 'connect')
    socket.write(getBytes)
    return socket
  }
  const [unread, slow] = [await ask(), await ask()]
  let read = 0
  slow.on('data', (chunk: Buffer) => {
    read += chunk.length
    // A pause at each megabyte: longer in all than may pass without any progress.
    if (read % 1_000_000 >= chunk.length) return
    slow.pause()
    setTimeout(() => slow.resume(), stalledTimeoutMs / 10)
  })
  slow.resume()
  const slowEnded = once(slow, 'close')
  while (read < answer.length) await sleep(20)
  slow.end()
  unread.resume()
  let received = 0
  unread.on('data', (chunk: Buffer) => {
    received += chunk.length
  })
  await Promise.all([once(unread, 'close'), slowEnded])
  assert.ok(received < answer.length, 'the unread answer was completed')
  await server.drain()
})

test('more header lines than anybody needs are refused', async () => {
  await withClient(async (client) => {
    const lines = Array.from({ length: 1_000 }, (_, number) => `X-${number}: y\r\n`)
    client.send(`GET /us/health HTTP/1.1\r\nHost: x\r\n${lines.join('')}\r\n`)
    assertProblem(await client.answer(), 431, 'headers_too_large')
    client.send(`GET /us/health HTTP/1.1\r\nHost: x\r\n${lines.slice(0, 90).join('')}\r\n`)
    assert.equal((await client.answer()).status, 200)
  })
})

test('a client that asks before it sends is told to go on', async () => {
  await withClient(async (client) => {
    const bytes = putBytes('{"price":5}', 'Expect: 100-continue', 'If-Match: *')
    const [head, body] = bytes.split('\r\n\r\n') as [string, string]
    client.send(`${head}\r\n\r\n`)
    assert.equal((await client.answer()).status, 100)
    client.send(body)
    assert.equal((await client.answer()).status, 200)
  })
})

test('a client that goes away is logged as such and has no effect', async () => {
  const claimsBefore = app.store.claims.size
  const client = await RawClient.open(app.port)
  app.observed.length = 0
  client.send(putBytes('{"price":5,"version":1}').slice(0, -5))
  await sleep(50)
  client.close()
  while (app.observed.length === 0) await sleep(5)
  assert.match(app.observed[0] ?? '', /aborted$/)
  assert.equal(app.store.claims.size, claimsBefore)
})

test('draining: all that was sent in a pipeline is answered, and only the last answer closes the connection', async () => {
  const own = await startTestApp()
  const { begun, release } = hold(own)
  const client = await RawClient.open(own.port)
  client.send(getBytes.repeat(3))
  while (begun.length < 3) await sleep(5)
  const drained = own.drain()
  client.send(getBytes)
  await sleep(20)
  release()
  const connections: (string | undefined)[] = []
  for (let answer = 0; answer < 3; answer++) connections.push((await client.answer()).headers['connection'])
  assert.deepEqual(connections, ['keep-alive', 'keep-alive', 'close'])
  assert.equal(await client.closed(), '')
  assert.equal(begun.length, 3, 'what comes behind a closing answer is not begun')
  await drained
})

test('draining: after an answer that was given before it, a connection takes one more request or ends', async () => {
  const own = await startTestApp()
  const { begun, release } = hold(own)
  const [one, other] = [await RawClient.open(own.port), await RawClient.open(own.port)]
  for (const client of [one, other]) client.send(`${getBytes}GET /us/none HTTP/1.1\r\nHost: x\r\n\r\n`)
  while (begun.length < 2) await sleep(5)
  const drained = own.drain()
  one.send(getBytes)
  while (begun.length < 3) await sleep(5)
  release()
  for (const [client, statuses] of [
    [one, [200, 404, 200]],
    [other, [200, 404]],
  ] as const) {
    for (const status of statuses) assert.equal((await client.answer()).status, status)
    assert.equal(await client.closed(), '')
  }
  await drained
})

test('draining: idle connections are closed, a late request on one is still answered', async () => {
  const own = await startTestApp()
  const [used, idle] = [await RawClient.open(own.port), await RawClient.open(own.port)]
  used.send(getBytes)
  assert.equal((await used.answer()).headers['connection'], 'keep-alive')
  const drained = own.drain()
  assert.equal(own.drain(), drained)
  used.send(getBytes)
  const late = await used.answer()
  assert.equal(late.status, 200)
  assert.equal(late.headers['connection'], 'close')
  await Promise.all([used.closed(), idle.closed(), drained])
  await assert.rejects(RawClient.open(own.port), { code: 'ECONNREFUSED' })
})

test('draining under load loses nothing: every write that took effect is answered', async () => {
  const own = await startTestApp()
  own.store.gate = () => sleep(Math.random() * 20)
  const agent = new Agent({ keepAlive: true, maxSockets: 24 })
  const answered = new Set<string>()
  const failures: unknown[] = []
  const refused = new AbortController()
  const write = (requestId: string) =>
    new Promise<void>((resolve) => {
      const headers = { 'X-Request-ID': requestId, 'If-Match': '*', 'Content-Type': 'application/json' }
      const url = `${own.url}/us/properties/${1 + Math.floor(Math.random() * 10)}`
      const request = httpRequest(url, { method: 'PUT', agent, headers }, (response) => {
        response.resume()
        response.once('end', () => {
          if (response.statusCode === 200) answered.add(requestId)
          else failures.push(response.statusCode)
          resolve()
        })
        response.once('error', (error) => {
          failures.push(error)
          resolve()
        })
      })
      request.once('error', (error: NodeJS.ErrnoException) => {
        // A request that was never taken is no loss: it had no effect, and the client knows.
        refused.abort()
        if (own.store.claims.has(requestId)) failures.push(error)
        resolve()
      })
      request.end('{"price":1}')
    })
  const client = async () => {
    while (!refused.signal.aborted) await write(freshRequestId())
  }
  const clients = Array.from({ length: 24 }, client)
  while (answered.size < 200) await sleep(5)
  const startedAt = performance.now()
  await own.drain()
  const took = performance.now() - startedAt
  await Promise.all(clients)
  agent.destroy()
  assert.deepEqual(failures, [])
  assert.deepEqual(new Set(own.store.claims.keys()), answered)
  assert.ok(took < 2000, `took ${took} ms`)
})
