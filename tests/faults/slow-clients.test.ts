/**
 * Clients that hold connections without asking for anything sensible, at a backend and at NGINX: slow heads, slow bodies,
 * answers that are not read, connections at rest, oversized heads. Whoever asks properly meanwhile is served as ever.
 */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { suite, test, type TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { memoryMb } from '../../local/process-table.ts'
import { waitUntil } from '../../local/wait.ts'
import { RawConnection } from '../support/raw-connections.ts'
import { useSystem } from '../support/use-system.ts'

/** The contract's bound on every answer. */
const answerMaxMs = 700
const slowClients = 500
const bytePauseMs = 500
const oversized = 50
const askedAtRest = 20
/** 64 KB at most are held of a body; kept one by one, these would be 160 MB. */
const chunkSenders = 20
const chunksEach = 20_000
const chunksGrowthMaxMb = 64
/** The bounds of backend and NGINX, plus what it takes to notice on a busy machine. */
const noticeSeconds = 5
const headMaxSeconds = 10 + noticeSeconds
const requestMaxSeconds = 15 + noticeSeconds
/** Of a backend's container (docker-compose.yml). */
const memoryMaxMb = 512
/** An orderly stop (backend/src/main.ts). */
const stopMaxMs = 9_500
const atRest = Math.min(5_000, openFilesMax() - 1_000)

/** Files that a process may have open; Node has raised its own limit as far as it may, and a child inherits that. */
function openFilesMax(): number {
  const limit = execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).trim()
  return limit === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(limit)
}

const system = useSystem()

const backendUrl = (): string => system.backend('us').url
const nginxUrl = (): string => system.stack.url
const head = 'Host: a\r\nX-Request-ID: slow\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n'
const slowHead = 'GET /us/properties/1 HTTP/1.1\r\nHost: a\r\nX-Slow: '
const slowBody = `PUT /us/properties/1 HTTP/1.1\r\n${head}`

/** Sends `first`, then a byte now and then, until every connection is closed or the time is over. */
async function trickle(
  connections: readonly RawConnection[],
  first: string,
  maxSeconds: number,
): Promise<void> {
  for (const { socket } of connections) socket.write(first)
  const end = performance.now() + maxSeconds * 1_000
  while (performance.now() < end && connections.some(({ closedAt }) => closedAt === undefined)) {
    await delay(bytePauseMs)
    for (const { socket, closedAt } of connections) if (closedAt === undefined) socket.write('x')
  }
}

/** Reads and writes over and over until `until` settles; every one is answered 200 and in time. */
async function assertServedMeanwhile(t: TestContext, url: string, until: Promise<unknown>): Promise<void> {
  const over = new AbortController()
  const end = until.finally(() => over.abort())
  const latencies: number[] = []
  while (!over.signal.aborted) latencies.push(await askOnce(url, latencies.length))
  await end
  const slowest = Math.max(...latencies)
  t.diagnostic(`${latencies.length} others served, the slowest in ${Math.round(slowest)} ms`)
  assert.ok(
    latencies.length > 0 && slowest < answerMaxMs,
    `${latencies.length} served, slowest ${slowest} ms`,
  )
}

let asked = 0

async function askOnce(url: string, number: number): Promise<number> {
  const began = performance.now()
  const path = `${url}/us/properties/${1 + (number % 1_000)}`
  const isWrite = number % 2 === 0
  const response = await fetch(path, {
    method: isWrite ? 'PUT' : 'GET',
    headers: isWrite
      ? { 'Content-Type': 'application/json', 'If-Match': '*', 'X-Request-ID': `served-${asked++}` }
      : {},
    ...(isWrite && { body: '{"price":1}' }),
  })
  assert.equal(response.status, 200, await response.text())
  assert.equal(response.headers.get('x-served-by'), 'us')
  return performance.now() - began
}

function assertCut(connections: readonly RawConnection[], maxSeconds: number): void {
  const lived = connections.map(({ livedSeconds }) => livedSeconds)
  assert.ok(
    lived.every((seconds) => seconds <= maxSeconds),
    `still open: ${lived.filter(Number.isNaN).length}, longest ${Math.max(...lived)} s`,
  )
}

suite('slow clients', { concurrency: true }, () => {
  test(`${slowClients} slow heads at a backend: 408`, async (t) => {
    const slow = await RawConnection.openMany(backendUrl(), slowClients)
    await assertServedMeanwhile(t, backendUrl(), trickle(slow, slowHead, headMaxSeconds))
    assertCut(slow, headMaxSeconds)
    assert.deepEqual(new Set(slow.map(({ status }) => status)), new Set([408]))
  })

  test(`${slowClients} slow bodies at a backend: 408, and no effect`, async (t) => {
    const slow = await RawConnection.openMany(backendUrl(), slowClients)
    await assertServedMeanwhile(t, backendUrl(), trickle(slow, slowBody, requestMaxSeconds))
    assertCut(slow, requestMaxSeconds)
    assert.deepEqual(new Set(slow.map(({ status }) => status)), new Set([408]))
    const { rowCount } = await system.databases.us.query("SELECT FROM claims WHERE request_id = 'slow'")
    assert.equal(rowCount, 0)
  })

  test(`${slowClients} slow heads at NGINX`, async (t) => {
    const slow = await RawConnection.openMany(nginxUrl(), slowClients)
    await assertServedMeanwhile(t, nginxUrl(), trickle(slow, slowHead, headMaxSeconds))
    assertCut(slow, headMaxSeconds)
  })

  // NGINX bounds the pause between two bytes of a body, not the whole; the backend does not hear of them.
  test(`${slowClients} bodies that stop at NGINX`, async (t) => {
    const slow = await RawConnection.openMany(nginxUrl(), slowClients)
    for (const { socket } of slow) socket.write(`${slowBody}x`)
    const closed = waitUntil(() => slow.every(({ closedAt }) => closedAt !== undefined), {
      timeoutMs: headMaxSeconds * 1_000,
      what: 'the bodies to be given up',
    })
    await assertServedMeanwhile(t, nginxUrl(), closed)
  })
})

/** Answers of both kinds of head that are too large, at one address. */
async function assertHeadsRefused(url: string): Promise<void> {
  const lines = Array.from({ length: 1_000 }, (_, number) => `X-${number}: y\r\n`).join('')
  for (const headers of [`X-Long: ${'x'.repeat(64 * 1_024)}\r\n`, lines]) {
    const senders = await RawConnection.openMany(url, oversized)
    for (const { socket } of senders)
      socket.write(`GET /us/properties/1 HTTP/1.1\r\nHost: a\r\n${headers}\r\n`)
    await waitUntil(() => senders.every(({ status }) => status > 0), {
      timeoutMs: noticeSeconds * 1_000,
      what: () => `answers, have ${senders.filter(({ status }) => status > 0).length}`,
    })
    assert.deepEqual(new Set(senders.map(({ status }) => status)), new Set([431]))
    for (const { socket } of senders) socket.destroy()
  }
}

for (const [name, url] of Object.entries({ backend: backendUrl, NGINX: nginxUrl })) {
  test(`heads of 64 KB and of 1,000 lines at ${name}: 431`, (t) =>
    assertServedMeanwhile(t, url(), assertHeadsRefused(url())))
}

test(`${atRest} connections at rest at NGINX`, async () => {
  const connections = await RawConnection.openMany(nginxUrl(), atRest)
  for (let number = 0; number < askedAtRest; number++)
    assert.ok((await askOnce(nginxUrl(), number)) < answerMaxMs)
  for (const { socket } of connections) socket.destroy()
})

test('bodies in chunks of one byte are held as what they are', async (t) => {
  const backend = system.backend('us')
  const beforeMb = memoryMb(backend.pid ?? 0)
  const senders = await RawConnection.openMany(backend.url, chunkSenders)
  const start = slowBody.replace('Content-Length: 1000', 'Transfer-Encoding: chunked')
  for (const { socket } of senders) socket.write(start + '1\r\nx\r\n'.repeat(chunksEach))
  const isRead = (): boolean => senders.every(({ socket }) => socket.writableLength === 0)
  await waitUntil(isRead, { timeoutMs: noticeSeconds * 1_000, what: 'the chunks to be taken' })
  // The answer to what is asked last comes after everything that had arrived before.
  await askOnce(backend.url, 0)
  const grownMb = memoryMb(backend.pid ?? 0) - beforeMb
  t.diagnostic(`${chunkSenders} unfinished bodies of ${chunksEach} bytes: ${grownMb} MB more`)
  assert.ok(grownMb < chunksGrowthMaxMb, `${grownMb} MB more`)
  for (const { socket } of senders) socket.destroy()
})

test(`${atRest} connections at rest at a backend, and an orderly stop with them`, async (t) => {
  const backend = system.backend('us')
  const connections = await RawConnection.openMany(backend.url, atRest)
  for (const { socket } of connections) socket.write('GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n')
  const answered = (): boolean => connections.every(({ status }) => status === 404)
  await waitUntil(answered, { timeoutMs: noticeSeconds * 1_000, what: 'all to have been answered once' })
  for (let number = 0; number < askedAtRest; number++)
    assert.ok((await askOnce(backend.url, number)) < answerMaxMs)
  const usedMb = memoryMb(backend.pid ?? 0)
  const began = performance.now()
  const ended = backend.whenExited()
  await backend.stop()
  const tookMs = performance.now() - began
  assert.equal(await ended, 'exit code 0')
  t.diagnostic(`${usedMb} MB with ${atRest} connections; stopped in ${Math.round(tookMs)} ms`)
  assert.ok(usedMb < memoryMaxMb && tookMs < stopMaxMs)
  await waitUntil(() => connections.every(({ closedAt }) => closedAt !== undefined), {
    timeoutMs: noticeSeconds * 1_000,
    what: 'every connection to be closed',
  })
})
