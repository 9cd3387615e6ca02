/**
 * What every answer to a request carries, and one log line and one observation per request.
 *
 * Invariant: a request is logged once, when its answer is written or its connection is gone, and never with its body
 * or query: both can hold what does not belong in a log.
 */

import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { Logger } from 'pino'
import type { HttpDependencies, HttpMetrics } from './dependencies.ts'
import { isRequestId } from './headers.ts'
import { splitRegion } from './region-prefix.ts'
import { contextOf, setContext, unmatchedRoute, type RequestContext } from './request-context.ts'

type LogDependencies = Pick<HttpDependencies, 'region' | 'regions' | 'metrics' | 'log' | 'now'>

/** `app`, which finds the path without its region. */
export function requestLog(app: RequestListener, dependencies: LogDependencies): RequestListener {
  const logs = new RequestLogs(dependencies)
  return (request, response) => {
    const startedAt = dependencies.now()
    const { region, path } = splitRegion(request.url ?? '/', dependencies.regions)
    request.url = path
    setContext(response, contextFor(request, region, dependencies))
    response.on('close', () => {
      const seconds = (dependencies.now() - startedAt) / 1000
      observe(request, response, seconds, logs, dependencies.metrics)
    })
    app(request, response)
  }
}

function contextFor(
  request: IncomingMessage,
  requestedRegion: string | undefined,
  { region }: LogDependencies,
): RequestContext {
  const header = request.headers['x-request-id']
  const requestId = isRequestId(header) ? header : undefined
  const headers = {
    'X-Served-By': region,
    'X-Failover': String(isFailover(requestedRegion, region)),
    'Cache-Control': 'no-store',
    ...(requestId !== undefined && { 'X-Request-ID': requestId }),
  }
  return { requestedRegion, requestId, headers, route: unmatchedRoute, outcome: 'ok', probe: false }
}

const isFailover = (requested: string | undefined, region: string): boolean =>
  requested !== undefined && requested !== region

function observe(
  { method = '' }: IncomingMessage,
  response: ServerResponse,
  seconds: number,
  logs: RequestLogs,
  metrics: HttpMetrics,
): void {
  const { requestId, requestedRegion, route, probe, outcome: intended } = contextOf(response)
  const outcome = response.writableFinished ? intended : 'aborted'
  const status = response.statusCode
  metrics.observeRequest(route, method, status, outcome, seconds)
  const log = logs.of(method, route, requestedRegion, status, outcome)
  const line = { request_id: requestId, duration_ms: Math.round(seconds * 1e6) / 1e3 }
  if (probe && status < 500) log.debug(line, 'request')
  else if (status >= 500) log.warn(line, 'request')
  else log.info(line, 'request')
}

/** A logger for each combination of the members of which few values occur: they are serialised once, not with each line. */
class RequestLogs {
  readonly #log: Logger
  readonly #region: string
  readonly #known = new Map<string, Logger>()

  constructor({ log, region }: LogDependencies) {
    this.#log = log
    this.#region = region
  }

  of(
    method: string,
    route: string,
    requestedRegion: string | undefined,
    status: number,
    outcome: string,
  ): Logger {
    const key = `${method} ${route} ${requestedRegion} ${status} ${outcome}`
    const known = this.#known.get(key)
    if (known) return known
    const failover = isFailover(requestedRegion, this.#region)
    const log = this.#log.child({ method, route, asked_region: requestedRegion, failover, status, outcome })
    this.#known.set(key, log)
    return log
  }
}
