/** A JSON request over kept connections. Answers are returned as they are; only the network's failures are thrown. */

import { Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http'

const timeoutMs = 5_000
const socketsMax = 256

export type Answer = {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Readonly<Record<string, unknown>>
  readonly servedBy: string
  readonly failover: boolean
}

export type Request = {
  readonly method?: 'GET' | 'PUT'
  readonly requestId?: string
  readonly body?: unknown
}

/** Connections of one group of clients. */
export class HttpClient {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: socketsMax })

  /** @throws the network's error, or if there is no complete answer within 5 s. */
  async send(url: string, { method = 'GET', requestId, body }: Request = {}): Promise<Answer> {
    const text = body === undefined ? undefined : JSON.stringify(body)
    const headers = {
      ...(requestId !== undefined && { 'X-Request-ID': requestId }),
      ...(text !== undefined && {
        'Content-Type': 'application/json',
        'Content-Length': Buffer.byteLength(text),
      }),
    }
    return new Promise((resolve, reject) => {
      const signal = AbortSignal.timeout(timeoutMs)
      const request = httpRequest(url, { method, headers, agent: this.#agent, signal }, (response) => {
        let received = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => (received += chunk))
        response.once('error', reject)
        response.once('end', () => {
          try {
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              body: JSON.parse(received) as Readonly<Record<string, unknown>>,
              servedBy: String(response.headers['x-served-by']),
              failover: response.headers['x-failover'] === 'true',
            })
          } catch (error) {
            reject(new Error(`no JSON: ${response.statusCode} ${received.slice(0, 200)}`, { cause: error }))
          }
        })
      })
      request.once('error', reject)
      request.end(text)
    })
  }

  close(): void {
    this.#agent.destroy()
  }
}
