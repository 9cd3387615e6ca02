/**
 * One TCP connection that sends any bytes and reads HTTP answers one by one, for tests: HTTP clients refuse to send
 * what these tests need, and hide on which connection an answer came.
 */

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface RawAnswer {
  readonly status: number
  /** Names in lower case; repeated ones are joined with a comma. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** An answer that takes longer than this fails the test. */
const answerTimeoutMs = 20_000

export class RawClient {
  readonly #socket: Socket
  #received: Buffer = Buffer.alloc(0)
  #ended = false
  #failure: Error | undefined
  #wake: () => void = () => undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk])
      this.#wake()
    })
    socket.on('end', () => {
      this.#ended = true
      this.#wake()
    })
    socket.on('error', (error) => {
      this.#failure = error
      this.#wake()
    })
    socket.on('close', () => {
      this.#ended = true
      this.#wake()
    })
  }

  static async open(port: number, host = '127.0.0.1'): Promise<RawClient> {
    const socket = connect({ port, host, noDelay: true })
    await once(socket, 'connect')
    return new RawClient(socket)
  }

  /** Sends bytes; text is sent as Latin-1, so that a test can name any byte. */
  send(bytes: string | Uint8Array): void {
    this.#socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
  }

  /** The next answer. One to HEAD has no body, whatever its Content-Length says. */
  async answer({ head = false }: { head?: boolean } = {}): Promise<RawAnswer> {
    const headEnd = await this.#until(() => {
      const at = this.#received.indexOf('\r\n\r\n')
      return at < 0 ? undefined : at
    })
    const [statusLine = '', ...lines] = this.#received.toString('latin1', 0, headEnd).split('\r\n')
    const status = Number(statusLine.split(' ')[1])
    const headers: Record<string, string> = {}
    for (const line of lines) {
      const colon = line.indexOf(':')
      const name = line.slice(0, colon).toLowerCase()
      const value = line.slice(colon + 1).trim()
      headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`
    }
    const length = head || status === 304 || status < 200 ? 0 : Number(headers['content-length'] ?? 0)
    const end = headEnd + 4 + length
    await this.#until(() => (this.#received.length >= end ? true : undefined))
    const body = this.#received.toString('utf8', headEnd + 4, end)
    this.#received = this.#received.subarray(end)
    return { status, headers, body }
  }

  /** Resolves when the server has closed the connection; gives what it sent after the last answer. */
  async closed(): Promise<string> {
    await this.#until(() => (this.#ended ? true : undefined))
    return this.#received.toString('latin1')
  }

  close(): void {
    this.#socket.destroy()
  }

  async #until<T>(condition: () => T | undefined): Promise<T> {
    const deadline = AbortSignal.timeout(answerTimeoutMs)
    for (;;) {
      const result = condition()
      if (result !== undefined) return result
      if (this.#failure) throw this.#failure
      if (this.#ended) throw new Error(`connection closed after: ${this.#received.toString('latin1')}`)
      if (deadline.aborted) throw new Error(`no answer within ${answerTimeoutMs} ms`)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        deadline.addEventListener('abort', () => resolve(), { once: true })
      })
    }
  }
}
