/**
 * Refuses requests while the store takes on no more.
 *
 * A refusal has to be cheap, or refusing takes the place of serving: under a load of many times the capacity a turn of the
 * event loop reads a thousand requests, and whatever is spent on those that are refused delays the answers of the others.
 * So it is made before routing and before the body is read, and is counted but not logged.
 *
 * Nothing is taken up here: a request occupies the store only when its body is there, so slow bodies keep nobody out.
 * What tells about the region (health, readiness, lag, metrics) is never refused.
 */

import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { retryAfterSeconds } from './answer.ts'
import type { HttpDependencies } from './dependencies.ts'
import { isRequestId } from './headers.ts'
import { splitRegion } from './region-prefix.ts'
import { problemBody, problemContentType, problemTable } from './problems.ts'
import { unmatchedRoute } from './request-context.ts'
import { storeRefusals, type StoreRefusal } from './store.ts'

type Dependencies = Pick<HttpDependencies, 'region' | 'regions' | 'metrics' | 'store'>

const tellsOfRegion = /\/(health|ready|replication-lag|metrics)(\?|$)/

const bodies: Readonly<Record<StoreRefusal, string>> = {
  overloaded: bodyOf('overloaded'),
  database_unavailable: bodyOf('database_unavailable'),
}

function bodyOf(code: StoreRefusal): string {
  return JSON.stringify(problemBody({ code, detail: storeRefusals[code] }))
}

/** `app`, for the requests that the store takes on. */
export function refuseEarly(app: RequestListener, dependencies: Dependencies): RequestListener {
  return (request, response) => {
    const refusal = dependencies.store.refusal()
    if (refusal === undefined || tellsOfRegion.test(request.url ?? '')) app(request, response)
    else refuse(request, response, refusal, dependencies)
  }
}

function refuse(
  { headers, method = '', url = '' }: IncomingMessage,
  response: ServerResponse,
  code: StoreRefusal,
  { region, regions, metrics }: Dependencies,
): void {
  const { status } = problemTable[code]
  const body = bodies[code]
  const asked = splitRegion(url, regions).region ?? region
  const requestId = headers['x-request-id']
  response.writeHead(status, {
    'X-Served-By': region,
    'X-Failover': String(asked !== region),
    ...(isRequestId(requestId) && { 'X-Request-ID': requestId }),
    'Cache-Control': 'no-store',
    'Retry-After': retryAfterSeconds,
    'Content-Type': problemContentType,
    'Content-Length': Buffer.byteLength(body),
  })
  response.end(body)
  metrics.observeRequest(unmatchedRoute, method, status, code, 0)
}
