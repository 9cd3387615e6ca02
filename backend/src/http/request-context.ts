/** What is known of one request while it is served, for its answer's headers and its log line. */

import type { IncomingMessage, ServerResponse } from 'node:http'

export type AnswerHeaders = Readonly<Record<string, string>>

export interface RequestContext {
  /** Region prefix of the path; undefined without a known one. */
  readonly requestedRegion: string | undefined
  readonly requestId: string | undefined
  /** Those that every answer to this request carries, unless it has its own instead. */
  readonly headers: AnswerHeaders
  /** Template of the route, without the region. */
  route: string
  /** `ok`, `not_modified`, `aborted` or the code of the problem. */
  outcome: string
  /** Log lines of probes are written at debug level. */
  probe: boolean
}

export const unmatchedRoute = 'unmatched'

/** A request that was routed, with the parameters of its path. */
export type RoutedRequest = IncomingMessage & { readonly params: Readonly<Record<string, string>> }

const contextKey = Symbol('context')

type WithContext = ServerResponse & { [contextKey]?: RequestContext }

export function setContext(response: WithContext, context: RequestContext): void {
  response[contextKey] = context
}

/** Of a response that `requestLog` has passed on. */
export function contextOf(response: WithContext): RequestContext {
  return response[contextKey] as RequestContext
}
