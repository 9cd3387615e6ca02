/**
 * The first middleware: what every answer to a request carries, one log line and one observation per request.
 *
 * Invariant: a request is logged once, when its answer is written or its connection is gone, and never with its body
 * or query: both can hold what does not belong in a log.
 */

import type { Request, RequestHandler, Response } from 'express'
import type { HttpDependencies } from './dependencies.ts'
import { isRequestId } from './headers.ts'
import { contextOf, setContext, unmatchedRoute } from './request-context.ts'

type LogDependencies = Pick<HttpDependencies, 'region' | 'regions' | 'metrics' | 'log' | 'now'>

export function requestLog(dependencies: LogDependencies): RequestHandler {
  return (request, response, next) => {
    const startedAt = dependencies.now()
    prepare(request, response, dependencies)
    response.on('close', () => {
      logRequest(request, response, (dependencies.now() - startedAt) / 1000, dependencies)
    })
    next()
  }
}

function prepare(request: Request, response: Response, { region, regions }: LogDependencies): void {
  const prefix = request.path.split('/', 2)[1]
  const requestedRegion = regions.find((known) => known === prefix)
  const header = request.headers['x-request-id']
  const requestId = isRequestId(header) ? header : undefined
  const headers = {
    'X-Served-By': region,
    'X-Failover': String(isFailover(requestedRegion, region)),
    'Cache-Control': 'no-store',
    ...(requestId !== undefined && { 'X-Request-ID': requestId }),
  }
  const context = { requestedRegion, requestId, headers, route: unmatchedRoute, outcome: 'ok', probe: false }
  setContext(response, context)
}

const isFailover = (requested: string | undefined, region: string): boolean =>
  requested !== undefined && requested !== region

function logRequest(
  request: Request,
  response: Response,
  seconds: number,
  { region, metrics, log }: LogDependencies,
): void {
  const context = contextOf(response)
  const outcome = response.writableFinished ? context.outcome : 'aborted'
  const status = response.statusCode
  metrics.observeRequest(context.route, request.method, status, outcome, seconds)
  const line = {
    request_id: context.requestId,
    method: request.method,
    route: context.route,
    asked_region: context.requestedRegion,
    failover: isFailover(context.requestedRegion, region),
    status,
    outcome,
    duration_ms: Math.round(seconds * 1e6) / 1e3,
  }
  if (context.probe && status < 500) log.debug(line, 'request')
  else if (status >= 500) log.warn(line, 'request')
  else log.info(line, 'request')
}
