/**
 * The table of routes, each answered with and without a region prefix.
 *
 * Invariant: any region answers for any prefix; that is what failover means. A route that reads or changes listings
 * waits for readiness, those that tell about the region do not.
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import express, { type RequestHandler } from 'express'
import { sendJson, sendProblem, sendText } from './answer.ts'
import type { HttpDependencies } from './dependencies.ts'
import { parseId } from './headers.ts'
import { deleteProperty, getProperty, noSuchProperty, putProperty } from './properties.ts'
import type { Problem } from './problems.ts'
import { contextOf, type RoutedRequest } from './request-context.ts'
import { UnavailableError } from './store.ts'
import { conflictView } from './views.ts'

/** More open conflicts than this are not listed at once. */
const conflictsMax = 100

type Next = (error?: unknown) => void
type Handler = (
  dependencies: HttpDependencies,
  request: RoutedRequest,
  response: ServerResponse,
) => Promise<void>

interface Route {
  readonly path: string
  readonly get: Handler
  readonly put?: Handler
  readonly delete?: Handler
  /** Refused until the region is ready. */
  readonly data?: true
  /** Asked by machines every second or so: not worth a log line. */
  readonly probe?: true
  /** There without a region prefix only, so never through NGINX. */
  readonly local?: true
}

/** Express tries them one after the other: the one that is asked most comes first. */
const routes: readonly Route[] = [
  {
    path: '/properties/:id',
    get: ({ store }, request, response) => getProperty(store, request, response),
    put: ({ store }, request, response) => putProperty(store, request, response),
    delete: ({ store }, request, response) => deleteProperty(store, request, response),
    data: true,
  },
  { path: '/health', get: getHealth, probe: true },
  { path: '/ready', get: getReady, probe: true },
  { path: '/replication-lag', get: getLag },
  { path: '/conflicts', get: getConflicts, data: true },
  { path: '/properties/:id/conflicts', get: getConflictsOf, data: true },
  { path: '/metrics', get: getMetrics, probe: true, local: true },
]

type Router = (request: IncomingMessage, response: ServerResponse, next: Next) => void

/**
 * The routes, of paths without their region. They need Express's router, not its application, which changes the prototype
 * of each request and response for the sake of members that nothing here uses: that took a tenth of a read's time.
 */
export function createRouter(dependencies: HttpDependencies): Router {
  // Exact paths: `/Health` and `/health/` are other paths, in NGINX too.
  const router = express.Router({ caseSensitive: true, strict: true })
  for (const route of routes) router.route(route.path).all(handlerOf(route, dependencies) as RequestHandler)
  return router as unknown as Router
}

function handlerOf(route: Route, dependencies: HttpDependencies) {
  const handlers = handlersOf(route)
  return (request: RoutedRequest, response: ServerResponse, next: Next): Promise<void> | void => {
    const context = contextOf(response)
    if (route.local && context.requestedRegion !== undefined) return next()
    context.route = route.path
    context.probe = route.probe ?? false
    const handler = handlers.get(request.method ?? '')
    if (!handler) return sendProblem(response, wrongMethod([...handlers.keys()]))
    if (route.data) {
      const readiness = dependencies.readiness()
      if (!readiness.ready) return sendProblem(response, readiness)
    }
    return handler(dependencies, request, response)
  }
}

function handlersOf({ get, put, delete: remove }: Route): ReadonlyMap<string, Handler> {
  return new Map([
    ['GET', get],
    ['HEAD', get],
    ...(put ? [['PUT', put] as const] : []),
    ...(remove ? [['DELETE', remove] as const] : []),
  ])
}

function wrongMethod(methods: readonly string[]): Problem {
  const allow = methods.join(', ')
  return { code: 'method_not_allowed', detail: `Use one of ${allow}.`, headers: { Allow: allow } }
}

/** Whether the database answers: Kafka being down does not make a region unhealthy, it goes on serving. */
async function getHealth(
  dependencies: HttpDependencies,
  _: RoutedRequest,
  response: ServerResponse,
): Promise<void> {
  const problem = await probeDatabase(dependencies)
  if (problem) return sendProblem(response, problem)
  const { region } = dependencies
  sendJson(response, 200, { status: 'ok', region, uptime_seconds: Math.round(process.uptime()) })
}

/** Whether this backend can take traffic. */
async function getReady(
  dependencies: HttpDependencies,
  _: RoutedRequest,
  response: ServerResponse,
): Promise<void> {
  const { region } = dependencies
  const readiness = dependencies.readiness()
  const problem = readiness.ready ? await probeDatabase(dependencies) : readiness
  if (problem) return sendProblem(response, { ...problem, extensions: { region } })
  sendJson(response, 200, { status: 'ready', region })
}

async function probeDatabase(dependencies: HttpDependencies): Promise<Problem | undefined> {
  const { region, log } = dependencies
  try {
    await dependencies.probe()
    return undefined
  } catch (error) {
    log.debug({ err: error }, 'database probe failed')
    const detail = error instanceof UnavailableError ? error.message : 'The database does not answer.'
    return { code: 'database_unavailable', detail, extensions: { region } }
  }
}

async function getLag(
  dependencies: HttpDependencies,
  _: RoutedRequest,
  response: ServerResponse,
): Promise<void> {
  sendJson(response, 200, await dependencies.lag())
}

async function getConflicts(
  { store }: HttpDependencies,
  _: RoutedRequest,
  response: ServerResponse,
): Promise<void> {
  const records = await store.openConflicts(conflictsMax)
  sendJson(response, 200, { conflicts: records.map(conflictView) })
}

async function getConflictsOf(
  { store }: HttpDependencies,
  request: RoutedRequest,
  response: ServerResponse,
): Promise<void> {
  const id = parseId(request.params['id'])
  if ('problem' in id) return sendProblem(response, id.problem)
  const records = await store.conflictsOf(id.value)
  if (!records) return sendProblem(response, noSuchProperty(id.value))
  sendJson(response, 200, { conflicts: records.map(conflictView) })
}

async function getMetrics(
  { metrics }: HttpDependencies,
  _: RoutedRequest,
  response: ServerResponse,
): Promise<void> {
  sendText(response, 200, metrics.contentType, await metrics.text())
}
