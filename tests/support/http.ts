/** A JSON request over kept connections. Answers are returned as they are; only the network's failures are thrown. */

import { once } from 'node:events'
import { Agent, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'

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
  readonly method?: 'GET' | 'PUT' | 'DELETE'
  readonly requestId?: string
  readonly ifMatch?: string
  readonly body?: unknown
}

/** Connections of one group of clients. */
export class HttpClient {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: socketsMax })

  /** @throws the network's error, or if there is no complete answer within 5 s. */
  async send(url: string, { method = 'GET', requestId, ifMatch, body }: Request = {}): Promise<Answer> {
    const text = body === undefined ? undefined : JSON.stringify(body)
    const headers = {
      ...(requestId !== undefined && { 'X-Request-ID': requestId }),
      ...(ifMatch !== undefined && { 'If-Match': ifMatch }),
      ...(text !== undefined && {
        'Content-Type': 'application/json',
        'Content-Length': Buffer.byteLength(text),
      }),
    }
    const signal = AbortSignal.timeout(timeoutMs)
    const request = httpRequest(url, { method, headers, agent: this.#agent, signal })
    request.end(text)
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    let received = ''
    for await (const chunk of response.setEncoding('utf8')) received += String(chunk)
    return toAnswer(response, received)
  }

  close(): void {
    this.#agent.destroy()
  }
}

function toAnswer({ statusCode = 0, headers }: IncomingMessage, text: string): Answer {
  return {
    status: statusCode,
    headers,
    body: JSON.parse(text || '{}') as Readonly<Record<string, unknown>>,
    servedBy: String(headers['x-served-by']),
    failover: headers['x-failover'] === 'true',
  }
}
