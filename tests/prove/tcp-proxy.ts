/**
 * A TCP connection's way that can be broken: cut (everything is reset), half-open (accepts, answers nothing, passes
 * nothing on, and says nothing about it), or slow.
 *
 * Invariant: bytes keep their order, and a connection that has lost one is never used again. When a half-open link heals, whoever was on it
 * is reset, as a firewall does that has forgotten a connection.
 */

import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

export type LinkState = 'open' | 'cut' | 'half-open' | { readonly delayMs: number }

const host = '127.0.0.1'

/** Where a proxy leads to: a port of this machine, or whatever is found for each connection. */
export type Destination = number | (() => Promise<{ host: string; port: number }>)

/** What may wait for a slow receiver before its sender is no longer read. */
const waitingBytesMax = 4_000_000

export class TcpProxy {
  readonly #server: Server
  readonly #destination: Destination
  readonly #sockets = new Set<Socket>()
  #state: LinkState = 'open'

  private constructor(server: Server, destination: Destination) {
    this.#server = server
    this.#destination = destination
    server.on('connection', (socket) => {
      this.#accept(socket).catch(() => socket.resetAndDestroy())
    })
  }

  /** Listens on `port`; nothing needs to listen at the destination yet. */
  static async open(destination: Destination, port: number): Promise<TcpProxy> {
    const server = createServer({ noDelay: true, allowHalfOpen: true })
    const proxy = new TcpProxy(server, destination)
    server.listen({ port, host })
    await once(server, 'listening')
    return proxy
  }

  set(state: LinkState): void {
    const losesBytes = state === 'cut' || this.#state === 'half-open'
    this.#state = state
    if (losesBytes) this.#resetAll()
  }

  async close(): Promise<void> {
    this.#resetAll()
    if (!this.#server.listening) return
    this.#server.close()
    await once(this.#server, 'close')
  }

  #resetAll(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  async #accept(client: Socket): Promise<void> {
    this.#keep(client)
    if (this.#state === 'cut') {
      client.resetAndDestroy()
      return
    }
    if (this.#state === 'half-open') {
      client.resume()
      return
    }
    const address =
      typeof this.#destination === 'number' ? { port: this.#destination, host } : await this.#destination()
    if (client.destroyed) return
    const server = connect({ ...address, noDelay: true, allowHalfOpen: true })
    this.#keep(server)
    this.#pass(client, server)
    this.#pass(server, client)
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => {}) // its peer is told by the close that follows
    socket.once('close', () => this.#sockets.delete(socket))
  }

  #pass(from: Socket, to: Socket): void {
    const later = inOrder(() => (typeof this.#state === 'object' ? this.#state.delayMs : 0))
    from.on('data', (chunk) => {
      if (this.#state === 'half-open') return
      later(() => {
        if (to.destroyed) return
        to.write(chunk)
        if (to.writableLength > waitingBytesMax && !from.isPaused()) {
          from.pause()
          to.once('drain', () => from.resume())
        }
      })
    })
    from.once('end', () => {
      if (this.#state !== 'half-open') later(() => to.end())
    })
    from.once('close', () => {
      if (this.#state !== 'half-open') later(() => to.destroy())
    })
  }
}

/**
 * Acts after the delay of the moment, one after the other: what comes when a delay has ended waits for what is still
 * delayed. One timer at a time: those of several would fire in the order of their lengths, and late ones after what is
 * due by then.
 */
function inOrder(delayMs: () => number): (act: () => void) => void {
  const waiting: { readonly due: number; readonly act: () => void }[] = []
  const actOnDue = (): void => {
    while (waiting[0] && waiting[0].due <= performance.now()) waiting.shift()?.act()
    if (waiting[0]) setTimeout(actOnDue, waiting[0].due - performance.now())
  }
  return (act) => {
    waiting.push({ due: performance.now() + delayMs(), act })
    if (waiting.length === 1) actOnDue()
  }
}
