/** Many TCP connections at once that send bytes as a test says, for clients which no HTTP library can play. */

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** One connection: what it was sent, and when it ended. */
export class RawConnection {
  readonly socket: Socket
  readonly openedAt = performance.now()
  received = ''
  closedAt: number | undefined

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk) => {
      this.received += chunk.toString('latin1')
    })
    socket.on('error', () => {}) // the close that follows is what counts
    socket.on('close', () => {
      this.closedAt = performance.now()
    })
  }

  static async open(url: string): Promise<RawConnection> {
    const { hostname, port } = new URL(url)
    const socket = connect({ host: hostname, port: Number(port), noDelay: true })
    await once(socket, 'connect')
    return new RawConnection(socket)
  }

  static openMany(url: string, count: number): Promise<RawConnection[]> {
    return Promise.all(Array.from({ length: count }, () => RawConnection.open(url)))
  }

  /** Seconds that the connection lived, NaN if it still does. */
  get livedSeconds(): number {
    return ((this.closedAt ?? Number.NaN) - this.openedAt) / 1_000
  }

  /** Status of the first answer, NaN if there is none. */
  get status(): number {
    return Number(/^HTTP\/1\.1 (\d{3}) /.exec(this.received)?.[1] ?? Number.NaN)
  }
}
