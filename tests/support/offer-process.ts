/**
 * The process behind `offer` (offer.ts): sends requests when they are due, whether earlier ones were answered or not.
 *
 * Plain sockets with one request each at a time, and answers that are looked at only as far as they have to be: it must
 * be cheaper to ask than to answer, also on a machine that both share.
 */

import { connect, type Socket } from 'node:net'
import type { Offer, Offered } from './offer.ts'

const tickMs = 1
const connectTimeoutMs = 5_000
/** How long answers are waited for after the last request. */
const restMaxMs = 5_000
/** `HTTP/1.1 200` */
const statusAt = 9
const headEnd = Buffer.from('\r\n\r\n')

/**
 * Answered before the load begins: a connection exists for its client as soon as the system has it, but libuv takes one over
 * in each turn of the event loop, so that under load the last of a thousand would wait for minutes.
 */
const greeting = 'GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n'

class Connection {
  readonly socket: Socket
  number = -1
  greeted = false
  #sentAt = 0
  #received: Buffer | undefined

  constructor(socket: Socket) {
    this.socket = socket
  }

  send(number: number): void {
    this.number = number
    this.#sentAt = performance.now()
    this.socket.write(bytesOf(number), 'latin1')
  }

  /** The answer, once it is complete. */
  receive(chunk: Buffer): { status: number; head: string; latencyMs: number } | undefined {
    const received = this.#received ? Buffer.concat([this.#received, chunk]) : chunk
    this.#received = received
    const end = received.indexOf(headEnd)
    if (end < 0) return undefined
    const head = received.toString('latin1', 0, end)
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0)
    if (received.length < end + headEnd.length + length) return undefined
    this.#received = undefined
    const status = Number(head.slice(statusAt, statusAt + 3))
    return { status, head, latencyMs: performance.now() - this.#sentAt }
  }
}

const offer = JSON.parse(process.argv[2] ?? '') as Offer
const { host, port, prefix, properties, perSecond, connections: connectionsMax, seconds } = offer
const offered: Offered = {
  sent: 0,
  unsent: 0,
  statuses: {},
  failures: {},
  withoutRetryAfter: 0,
  acknowledged: [],
  latenciesMs: [],
}
const idle: Connection[] = []
let open = 0
let waiting = 0
let ended = false

function bytesOf(number: number): string {
  const property = 1 + (number % properties)
  const body = `{"price":${1 + (number % 1_000_000)}}`
  return (
    `PUT /us/properties/${property} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nIf-Match: *\r\n` +
    `X-Request-ID: ${prefix}${number}\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  )
}

function count(counts: Record<string, number>, name: string | number): void {
  counts[name] = (counts[name] ?? 0) + 1
}

function openConnection(): Promise<Connection> {
  const socket = connect({ host, port, noDelay: true })
  const connection = new Connection(socket)
  const { promise, resolve, reject } = Promise.withResolvers<Connection>()
  open += 1
  socket.setTimeout(connectTimeoutMs, () => socket.destroy(new Error('no connection in time')))
  socket.once('connect', () => {
    socket.setTimeout(0)
    socket.write(greeting)
  })
  socket.on('data', (chunk) => {
    if (connection.greeted) return onData(connection, chunk)
    connection.greeted = connection.receive(chunk) !== undefined
    if (connection.greeted) resolve(connection)
  })
  socket.on('error', (error: NodeJS.ErrnoException) => {
    count(offered.failures, error.code ?? error.message)
    reject(error)
  })
  socket.on('close', () => onClose(connection))
  return promise
}

function onData(connection: Connection, chunk: Buffer): void {
  const answer = connection.receive(chunk)
  if (!answer) return
  const { status, head, latencyMs } = answer
  count(offered.statuses, status)
  if (status === 200) {
    offered.acknowledged.push(connection.number)
    offered.latenciesMs.push(latencyMs)
  } else if (!/\r\nretry-after: \d/i.test(head)) offered.withoutRetryAfter += 1
  connection.number = -1
  waiting -= 1
  if (perSecond === null && !ended) send(connection)
  else idle.push(connection)
}

function onClose(connection: Connection): void {
  open -= 1
  if (connection.number >= 0) {
    waiting -= 1
    count(offered.failures, 'closed before the answer')
  } else if (!ended) count(offered.failures, 'closed while idle')
  const at = idle.indexOf(connection)
  if (at >= 0) idle.splice(at, 1)
}

function send(connection: Connection): void {
  waiting += 1
  connection.send(offered.sent++)
}

/** Sends what is due; what finds no free connection is lost on this side, and counted. */
function sendDue(beganAt: number): void {
  const due = Math.floor(((performance.now() - beganAt) / 1_000) * (perSecond ?? 0))
  while (offered.sent + offered.unsent < due) {
    const connection = idle.pop()
    if (connection) send(connection)
    else offered.unsent += 1
  }
}

async function run(): Promise<void> {
  const opened: Promise<Connection>[] = []
  for (let number = 0; number < connectionsMax; number++) opened.push(openConnection())
  idle.push(...(await Promise.all(opened)))
  const beganAt = performance.now()
  const elapsed = (): number => performance.now() - beganAt
  if (perSecond === null) for (const connection of idle.splice(0)) send(connection)
  await every(tickMs, () => {
    if (perSecond !== null) sendDue(beganAt)
    return elapsed() >= seconds * 1_000
  })
  ended = true
  await every(tickMs, () => waiting === 0 || elapsed() >= seconds * 1_000 + restMaxMs)
  if (waiting > 0) offered.failures['not answered'] = waiting
}

function every(intervalMs: number, isDone: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      if (!isDone()) return
      clearInterval(timer)
      resolve()
    }, intervalMs)
  })
}

await run()
process.send?.(offered, () => process.exit(0))
