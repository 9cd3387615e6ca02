/**
 * The HTTP application.
 *
 * Invariant: every answer, also to what nobody foresaw, is JSON with a stable code and without a stack trace, and
 * carries `X-Served-By` and `X-Failover`.
 */

import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { sendProblem } from './answer.ts'
import type { HttpDependencies } from './dependencies.ts'
import { contextOf } from './request-context.ts'
import { refuseEarly } from './refuse-early.ts'
import type { Problem } from './problems.ts'
import { requestLog } from './request-log.ts'
import { createRouter } from './routes.ts'
import { UnavailableError } from './store.ts'
import { describeError } from '../runtime/describe-error.ts'

/** The whole API over its dependencies; `startServer` in `server.ts` listens with it. */
export function createHttpApp(dependencies: HttpDependencies): RequestListener {
  const serve = refuseEarly(requestLog(answerAll(dependencies), dependencies), dependencies)
  return (request, response) => {
    request.url = originForm(request.url)
    serve(request, response)
  }
}

/**
 * What concerns every request is done in front of the router, to which each further step costs a search. It ends here with
 * what it finds no route for, also with a target that it cannot parse, like `//a@b#c`, and with what a route has thrown.
 */
function answerAll(dependencies: HttpDependencies): RequestListener {
  const route = createRouter(dependencies)
  const detail = `There is no such path. Regions are ${dependencies.regions.join(', ')}.`
  const sendError = errorSender(dependencies)
  return (request, response) => {
    const problem = checkHeaders(request)
    if (problem) return sendProblem(response, problem)
    route(request, response, (error) => {
      if (error) sendError(error, request, response)
      else sendProblem(response, { code: 'unknown_path', detail })
    })
  }
}

/** Path and query of a request's target. RFC 9112, 3.2.2: a server accepts an absolute URI too. */
function originForm(target = '/'): string {
  if (target.startsWith('/')) return target
  const path = target.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '')
  return path.startsWith('/') ? path : `/${path}`
}

/** More header lines than clients and proxies have a reason to send; every line is looked at in several places. */
const headerLinesMax = 100

/** RFC 9110, 7.2 requires a Host. Here and not in Node's server, which would answer without a body. */
function checkHeaders({ headers, httpVersion, rawHeaders }: IncomingMessage): Problem | undefined {
  if (headers.host === undefined && httpVersion === '1.1') {
    return { code: 'invalid_header', detail: 'A Host header is required.' }
  }
  if (rawHeaders.length > 2 * headerLinesMax) {
    return { code: 'headers_too_large', detail: `There are more than ${headerLinesMax} headers.` }
  }
  return undefined
}

/** Why the database is unavailable is logged so often at most, ms: an outage has the same reason a thousand times a second. */
const reasonIntervalMs = 1000

function errorSender(dependencies: Pick<HttpDependencies, 'log' | 'now'>) {
  const { log } = dependencies
  let reasonLoggedAt = -Infinity
  return (error: unknown, request: IncomingMessage, response: ServerResponse): void => {
    if (response.headersSent) {
      response.destroy()
      return
    }
    if (error instanceof UnavailableError) {
      const now = dependencies.now()
      if (error.cause !== undefined && now - reasonLoggedAt >= reasonIntervalMs) {
        reasonLoggedAt = now
        log.warn({ reason: describeError(error.cause) }, 'database unavailable')
      }
      return sendProblem(response, { code: error.code, detail: error.message })
    }
    if (error instanceof URIError) {
      return sendProblem(response, { code: 'invalid_path', detail: 'The path is not percent-encoded UTF-8.' })
    }
    const { requestId, route } = contextOf(response)
    log.error({ err: error, request_id: requestId, method: request.method, route }, 'request failed')
    sendProblem(response, { code: 'internal_error', detail: 'This is a defect of the service, and logged.' })
  }
}
