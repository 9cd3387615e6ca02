/**
 * The listening server of an HTTP application, and how it stops.
 *
 * Invariant: a request that has been read is answered, also while the server drains: an answer that is cut off makes
 * the client ask whether its write has happened. Every wait for a client is bounded, and what is no HTTP is refused
 * as a problem too.
 */

import { createServer, STATUS_CODES, type Server, type RequestListener, type ServerResponse } from 'node:http'
import { Server as NetServer, type AddressInfo, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { retryAfterSeconds } from './answer.ts'
import { problemBody, problemContentType, problemTable, type Problem } from './problems.ts'

const headerBytesMax = 16 * 1024
const headersTimeoutMs = 10_000
const requestTimeoutMs = 15_000
/** How often the two timeouts above are looked at; Node's default of 30 s would make them 40 and 45 s. */
const timeoutCheckMs = 1000
/**
 * A client that does not read its answer is cut after this long without progress. Longer than `requestTimeoutMs`, so
 * that a request which does not arrive gets its 408.
 */
const stalledTimeoutMs = 20_000
/**
 * Connections beyond are closed at once. One at rest costs 20 KB, and each one a file descriptor: without a bound, clients
 * could take those that the database and Kafka need.
 */
const connectionsMax = 8192
/** Connections that wait to be accepted, in a burst; the system may allow fewer (`net.core.somaxconn`). */
const backlogMax = 4096
/**
 * Requests that one connection may have under way. HTTP clients hardly ever send the next one before the answer, NGINX
 * never does; but Node starts all that it reads, and one client that sends thousands keeps all others waiting.
 */
const pipelinedMax = 16
/** Above the 4 s for which NGINX keeps an idle upstream connection, so that NGINX is the one that closes it. */
const keepAliveTimeoutMs = 75_000
/** A draining server still answers on idle connections for this long: a request may be on its way. */
const idleGraceMs = 500
/** How often connections that have come to rest since are looked for. */
const idleCheckMs = 100
/** A refused connection is read off for this long before it is closed. */
const lingerMs = 500
/** After this long a draining server cuts what is left. */
const drainMaxMs = 8000

export interface ServerOptions {
  readonly host: string
  /** 0 for any free port. */
  readonly port: number
  /** For `X-Served-By` on answers that the application never sees. */
  readonly region: string
  readonly log: Logger
  /** For tests. */
  readonly stalledTimeoutMs?: number
}

export interface RunningServer {
  readonly port: number
  /** Takes no further connection, answers what has been asked, and resolves when every connection is closed. */
  drain(): Promise<void>
}

/** Starts listening; rejects if the address cannot be bound. */
export async function startServer(app: RequestListener, options: ServerOptions): Promise<RunningServer> {
  const server = createServer({
    maxHeaderSize: headerBytesMax,
    headersTimeout: headersTimeoutMs,
    requestTimeout: requestTimeoutMs,
    connectionsCheckingInterval: timeoutCheckMs,
    keepAliveTimeout: keepAliveTimeoutMs,
    // The application answers a missing Host itself, with a body.
    requireHostHeader: false,
  })
  server.maxRequestsPerSocket = 0
  server.timeout = options.stalledTimeoutMs ?? stalledTimeoutMs
  server.maxConnections = connectionsMax
  // Node would leave out headers beyond a number in silence; `headerBytesMax` bounds them, and the application counts.
  server.maxHeadersCount = 0
  const traffic = new Traffic()
  server.on('connection', (socket) => traffic.addConnection(socket))
  server.on('request', (request, response) => {
    // What comes after an answer with `Connection: close` is not a request any more.
    if (traffic.ending.has(request.socket)) return
    if (traffic.add(response) <= pipelinedMax) return app(request, response)
    traffic.ending.add(request.socket)
    const detail = `More than ${pipelinedMax} requests are unanswered on this connection.`
    refuse(response, options.region, { code: 'overloaded', detail })
  })
  server.on('checkExpectation', (_, response: ServerResponse) => {
    traffic.add(response)
    refuse(response, options.region, {
      code: 'expectation_failed',
      detail: 'Only 100-continue can be expected.',
    })
  })
  server.on('drop', () => options.log.debug('too many connections'))
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    options.log.debug({ err: error }, 'not a valid request')
    refuseBytes(error, socket, traffic, options.region)
  })
  await listen(server, options)
  let drained: Promise<void> | undefined
  return {
    port: (server.address() as AddressInfo).port,
    drain: () => (drained ??= drain(server, traffic)),
  }
}

function listen(server: Server, { host, port }: ServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, host, backlog: backlogMax }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

interface Connection {
  readonly socket: Socket
  /** Requests that are not answered completely. */
  readonly owed: Set<ServerResponse>
  /** The answer to the newest request. */
  latest: ServerResponse | undefined
}

/** The open connections and the answers that are owed on them. */
class Traffic {
  readonly #connections = new Map<Duplex, Connection>()
  /** Connections whose bytes were refused. */
  readonly refused = new WeakSet<Duplex>()
  /** Connections that are closed after an answer which has been given. */
  readonly ending = new WeakSet<Duplex>()
  #closing = false

  addConnection(socket: Socket): void {
    this.#connections.set(socket, { socket, owed: new Set(), latest: undefined })
    socket.once('close', () => this.#connections.delete(socket))
  }

  /** Returns how many answers are owed on this connection now. */
  add(response: ServerResponse): number {
    const connection = this.on(response.req.socket)
    if (this.#closing) this.#endWith(response)
    if (!connection) return 0
    const { owed } = connection
    owed.add(response)
    connection.latest = response
    response.on('close', () => owed.delete(response))
    return owed.size
  }

  /** Undefined once it is closed. */
  on(socket: Duplex): Connection | undefined {
    return this.#connections.get(socket)
  }

  /** From now on the last answer on a connection tells its client to go elsewhere (`Connection: close`). */
  closeConnections(): void {
    this.#closing = true
    for (const { owed } of this.#connections.values()) {
      const last = [...owed].at(-1)
      // One whose headers are under way cannot say so any more: the next answer will, or the connection ends at rest.
      if (last && !last.headersSent) this.#endWith(last)
    }
  }

  /** Closes the connection after this answer, and after those that are owed before it. */
  #endWith(response: ServerResponse): void {
    response.shouldKeepAlive = false
    this.ending.add(response.req.socket)
  }

  /** Connections that have never sent a byte, which Node does not count as idle. */
  closeUnused(): void {
    for (const { socket } of this.#connections.values()) if (socket.bytesRead === 0) socket.destroy()
  }
}

async function drain(server: Server, traffic: Traffic): Promise<void> {
  // Node's own http close() also destroys idle connections at once, on which a request may be on its way.
  const closed = new Promise<void>((resolve) => {
    NetServer.prototype.close.call(server, () => resolve())
  })
  traffic.closeConnections()
  const timers = new AbortController()
  const after = (milliseconds: number, act: () => void) =>
    sleep(milliseconds, undefined, { signal: timers.signal }).then(act, () => undefined)
  const closeIdle = (): void => {
    server.closeIdleConnections()
    traffic.closeUnused()
    void after(idleCheckMs, closeIdle)
  }
  void after(idleGraceMs, closeIdle)
  void after(drainMaxMs, () => server.closeAllConnections())
  await closed
  timers.abort()
  // Not listening any more, this only stops Node's timer of the timeouts.
  server.close(() => undefined)
}

/** Answers bytes that Node's parser refused, unless that would cut into another answer on the same connection. */
function refuseBytes(error: NodeJS.ErrnoException, socket: Duplex, traffic: Traffic, region: string): void {
  // Each further chunk of the same bytes is reported again.
  if (traffic.refused.has(socket)) return
  traffic.refused.add(socket)
  const answer = () => {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy()
      return
    }
    socket.end(rawResponse(rawAnswer(region, problemOfParser(error.code))))
    // Closing with unread input resets the connection, and the answer would be lost with it.
    const timer = setTimeout(() => socket.destroy(), lingerMs)
    socket.once('close', () => clearTimeout(timer))
  }
  const { latest, owed } = traffic.on(socket) ?? {}
  const idle = !latest || (latest.writableFinished && latest.req.complete)
  const waitsForBody = latest && !latest.headersSent && !latest.req.complete && owed?.size === 1
  if (idle || waitsForBody) answer()
  else if (latest.req.complete) latest.once('finish', answer)
  else socket.destroy()
}

function problemOfParser(code: string | undefined): Problem {
  if (code === 'HPE_HEADER_OVERFLOW') {
    return { code: 'headers_too_large', detail: `Request line and headers exceed ${headerBytesMax} bytes.` }
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return { code: 'request_timeout', detail: 'The request did not arrive completely in time.' }
  }
  return { code: 'bad_request', detail: 'The bytes are not a valid HTTP/1.1 request.' }
}

function refuse(response: ServerResponse, region: string, problem: Problem): void {
  const { status, headers, text } = rawAnswer(region, problem)
  response.writeHead(status, headers).end(text)
}

interface RawAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
}

function rawAnswer(region: string, problem: Problem): RawAnswer {
  const text = JSON.stringify(problemBody(problem))
  const { status } = problemTable[problem.code]
  const headers = {
    ...(status === 429 && { 'Retry-After': retryAfterSeconds }),
    'X-Served-By': region,
    'X-Failover': 'false',
    'Cache-Control': 'no-store',
    'Content-Type': problemContentType,
    'Content-Length': String(Buffer.byteLength(text)),
    Connection: 'close',
  }
  return { status, headers, text }
}

function rawResponse({ status, headers, text }: RawAnswer): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  return [`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`, ...lines, '', text].join('\r\n')
}
