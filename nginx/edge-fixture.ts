/**
 * A real NGINX on a free port in front of stand-in backends, for the tests beside this file.
 *
 * The stand-ins speak HTTP through node:http and misbehave on command; what they received is kept, because most of what
 * is to be proven is which requests were *not* sent.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../local/ports.ts'
import { waitUntil } from '../local/wait.ts'
import { renderNginxConfig } from './render.ts'

const waitMaxMs = 5_000

/** `die`: read the whole request, then cut the connection; `die once`: and be well again. `hang`: never answer. */
export type Behaviour = 'ok' | 'die' | 'die once' | 'hang' | 500 | 502 | 503 | 504

export interface Received {
  method: string
  url: string
  headers: IncomingMessage['headers']
  body: string
}

export interface Backend {
  readonly port: number
  readonly received: Received[]
  behaviour: Behaviour
  /** Closes the port and every connection, as a killed process does. */
  kill(): Promise<void>
  restart(): Promise<void>
}

export interface Edge {
  readonly port: number
  readonly backends: Record<string, Backend[]>
  /** The access log's line of a request id, once it is there. */
  logLine(requestId: string): Promise<Record<string, unknown>>
  stop(): Promise<void>
}

/** Starts `backends[region]` stand-ins for every region and NGINX in front of them. */
export async function startEdge(counts: Record<string, number>): Promise<Edge> {
  const folder = await mkdtemp(join(tmpdir(), 'meridian-nginx-'))
  const backends: Record<string, Backend[]> = {}
  for (const [region, count] of Object.entries(counts)) {
    backends[region] = await Promise.all(Array.from({ length: count }, () => startBackend(region)))
  }
  const port = await freePort()
  const pidFile = join(folder, 'nginx.pid')
  const accessLog = join(folder, 'access.log')
  const config = renderNginxConfig({
    listen: `127.0.0.1:${port}`,
    upstreams: Object.fromEntries(
      Object.entries(backends).map(([region, own]) => [region, own.map((one) => `127.0.0.1:${one.port}`)]),
    ),
    pidFile,
    tempDir: folder,
    accessLog,
    errorLog: join(folder, 'error.log'),
  })
  await writeFile(join(folder, 'nginx.conf'), config)
  const nginx = spawn('nginx', ['-e', 'stderr', '-c', join(folder, 'nginx.conf'), '-g', 'daemon off;'], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/usr/local/sbin` },
  })
  // Also resolves if NGINX cannot be spawned at all.
  const exited = new Promise((resolve) => nginx.once('exit', resolve).once('error', resolve))
  const stop = async () => {
    nginx.kill('SIGTERM')
    await exited
    await Promise.all(Object.values(backends).flatMap((own) => own.map((one) => one.kill())))
    await rm(folder, { recursive: true })
  }
  try {
    // Written once the port is NGINX's own: from then on connections wait until a worker takes them.
    const started = async () => (await readFile(pidFile, 'utf8').catch(() => '')) !== ''
    await waitUntil(started, { timeoutMs: waitMaxMs, what: 'NGINX to start (is nginx installed?)' })
  } catch (error) {
    await stop()
    throw error
  }

  return {
    port,
    backends,
    async logLine(requestId) {
      let found: string | undefined
      const written = async () => {
        const lines = (await readFile(accessLog, 'utf8')).split('\n')
        found = lines.find((line) => line.includes(`"request_id":${JSON.stringify(requestId)}`))
        return found !== undefined
      }
      await waitUntil(written, { timeoutMs: waitMaxMs, what: `the log line of ${requestId}` })
      return JSON.parse(found ?? '') as Record<string, unknown>
    },
    stop,
  }
}

async function startBackend(region: string): Promise<Backend> {
  const received: Received[] = []
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    let body = ''
    for await (const chunk of request.setEncoding('utf8')) body += String(chunk)
    received.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers, body })
    const { behaviour } = backend
    if (behaviour === 'die once') backend.behaviour = 'ok'
    if (behaviour === 'die' || behaviour === 'die once') request.socket.destroy()
    if (behaviour === 'die' || behaviour === 'die once' || behaviour === 'hang') return
    const text = JSON.stringify({ region, port: backend.port })
    response.writeHead(behaviour === 'ok' ? 200 : behaviour, {
      'Content-Type': 'application/json',
      'Content-Length': text.length,
      'X-Served-By': region,
      'X-Failover': String(!request.url?.startsWith(`/${region}/`)),
    })
    response.end(text)
  }
  const server = createServer((request, response) => {
    // A client or NGINX that leaves in mid-body is no failure of the test.
    answer(request, response).catch(() => response.destroy())
  })
  const port = await freePort()
  const listen = async () => {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
  }
  await listen()
  const backend: Backend = {
    port,
    received,
    behaviour: 'ok',
    async kill() {
      if (!server.listening) return
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
    restart: listen,
  }
  return backend
}

/** An answer in a form that can be compared. */
export interface Answer {
  status: number
  servedBy: string | null
  failover: string | null
  headers: Headers
  body: Record<string, unknown>
  elapsedMs: number
}

/** Sends a request through NGINX; every answer, also an error, has to be JSON. */
export async function ask(edge: Edge, path: string, init: RequestInit = {}): Promise<Answer> {
  const began = performance.now()
  const response = await fetch(`http://127.0.0.1:${edge.port}${path}`, init)
  return toAnswer(response.status, response.headers, await response.text(), began)
}

/** Sends bytes as they are — also what no HTTP client would send — and reads one answer. */
export async function sendRaw(edge: Edge, text: string): Promise<Answer> {
  const began = performance.now()
  const socket = connect(edge.port, '127.0.0.1')
  socket.setTimeout(waitMaxMs, () => socket.destroy(new Error('no complete answer')))
  socket.write(text)
  let received = ''
  for await (const chunk of socket.setEncoding('utf8')) {
    received += String(chunk)
    const [head = '', ...rest] = received.split('\r\n\r\n')
    const body = rest.join('\r\n\r\n')
    const [statusLine = '', ...lines] = head.split('\r\n')
    const headers = new Headers(
      lines.map((line) => /^([^:]*): *(.*)$/.exec(line)!.slice(1, 3) as [string, string]),
    )
    if (rest.length > 0 && body.length === Number(headers.get('content-length'))) {
      return toAnswer(Number(statusLine.split(' ')[1]), headers, body, began)
    }
  }
  throw new Error(`connection closed after ${JSON.stringify(received)}`)
}

function toAnswer(status: number, headers: Headers, text: string, began: number): Answer {
  return {
    status,
    servedBy: headers.get('x-served-by'),
    failover: headers.get('x-failover'),
    headers,
    body: JSON.parse(text) as Record<string, unknown>,
    elapsedMs: performance.now() - began,
  }
}

/** That an answer is NGINX's own problem document of this status and code. */
export function assertProblem(
  { status, servedBy, failover, headers, body }: Answer,
  expected: number,
  code: string,
) {
  assert.deepEqual(
    [status, body['status'], body['code'], headers.get('content-type'), servedBy, failover],
    [expected, expected, code, 'application/problem+json', 'nginx', 'false'],
  )
  assert.deepEqual(Object.keys(body).toSorted(), ['code', 'detail', 'status', 'title', 'type'])
}
