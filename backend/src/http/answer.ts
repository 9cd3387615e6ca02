/**
 * Writes answers.
 *
 * Invariant: a body has an exact content type and length and is written in one piece with its headers, so there is no
 * answer that breaks off in the middle. Node leaves out the body of an answer to HEAD.
 */

import type { ServerResponse } from 'node:http'
import { problemBody, problemContentType, problemTable, type Problem } from './problems.ts'
import { contextOf, type AnswerHeaders } from './request-context.ts'

/** Seconds after which a client should try again; NGINX asks the other region at once. */
export const retryAfterSeconds = '1'

export const jsonContentType = 'application/json; charset=utf-8'

export function sendJson(
  response: ServerResponse,
  status: number,
  body: object,
  headers: AnswerHeaders = {},
): void {
  send(response, status, jsonContentType, body, headers)
}

export function sendNoContent(response: ServerResponse, headers: AnswerHeaders): void {
  response.writeHead(204, { ...contextOf(response).headers, ...headers }).end()
}

export function sendNotModified(response: ServerResponse, headers: AnswerHeaders): void {
  contextOf(response).outcome = 'not_modified'
  response.writeHead(304, { ...contextOf(response).headers, ...headers }).end()
}

export function sendProblem(response: ServerResponse, problem: Problem): void {
  const { status } = problemTable[problem.code]
  contextOf(response).outcome = problem.code
  const retry: AnswerHeaders = status === 503 || status === 429 ? { 'Retry-After': retryAfterSeconds } : {}
  send(response, status, problemContentType, problemBody(problem), { ...retry, ...problem.headers })
}

function send(
  response: ServerResponse,
  status: number,
  contentType: string,
  body: object,
  headers: AnswerHeaders,
): void {
  sendText(response, status, contentType, JSON.stringify(body), headers)
}

/** Headers are given to Node all at once: set one by one before, they cost it several times as much. */
export function sendText(
  response: ServerResponse,
  status: number,
  contentType: string,
  text: string,
  headers: AnswerHeaders = {},
): void {
  const all = {
    ...contextOf(response).headers,
    'Content-Type': contentType,
    'Content-Length': Buffer.byteLength(text),
    ...headers,
  }
  response.writeHead(status, all).end(text)
}
