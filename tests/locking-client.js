/** What `test_optimistic_locking.js` asks, checks and tells with. Like that script it needs Node 18 and nothing else. */

import { randomUUID } from 'node:crypto'

export const baseUrl = (process.env.BASE_URL || 'http://localhost:8080').replace(/\/+$/, '')
export const home = 'us'
export const other = 'eu'
const requestTimeoutMs = 5_000
const totalTimeoutMs = 120_000

// Not property 1: the examples of the documentation write to it at version 1.
export const propertyId = Number(process.argv[2] ?? 2 + Math.floor(Math.random() * 999))
export const startedAt = Date.now()

export class CheckFailed extends Error {}

export const say = (text) => console.log(`   ${text}`)
export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds))
export const freshId = () => `locking-${randomUUID()}`
export const brief = (value) => JSON.stringify(value)?.slice(0, 400)
export const path = (region = home) => `/${region}/properties/${propertyId}`

export const check = (holds, claim, found) => {
  if (!holds) throw new CheckFailed(found === undefined ? claim : `${claim}\n     found: ${brief(found)}`)
  say(`✓ ${claim}`)
}

export const checkStatus = (answer, status, code, claim) => {
  const holds = answer.status === status && (code === undefined || answer.body?.code === code)
  check(holds, `${claim} → ${status}${code ? ` ${code}` : ''}`, holds ? undefined : answer)
}

/** One HTTP request; the answer's body is parsed if it is JSON. */
export const request = async (method, where, { headers = {}, body } = {}) => {
  const remainingMs = totalTimeoutMs - (Date.now() - startedAt)
  if (remainingMs <= 0) throw new CheckFailed(`not finished after ${totalTimeoutMs / 1000} s`)
  const response = await fetch(baseUrl + where, {
    method,
    headers: body === undefined ? headers : { 'Content-Type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(Math.min(requestTimeoutMs, remainingMs)),
  })
  const text = await response.text()
  const isJson = /json/.test(response.headers.get('content-type') ?? '')
  return {
    status: response.status,
    etag: response.headers.get('etag'),
    servedBy: response.headers.get('x-served-by'),
    body: isJson && text ? JSON.parse(text) : text,
  }
}

export const get = (where, headers = {}) => request('GET', where, { headers })
export const put = (body, requestId = freshId(), headers = {}, region = home) =>
  request('PUT', path(region), {
    headers: requestId === undefined ? headers : { 'X-Request-ID': requestId, ...headers },
    body,
  })

/** The property as it is now. */
export const read = async (region = home) => {
  const answer = await get(path(region))
  if (answer.status !== 200) throw new CheckFailed(`GET ${path(region)} → 200\n     found: ${brief(answer)}`)
  return answer.body
}

/** Repeats an observation until the predicate accepts it; fails with the last one when time is up. */
export const until = async (observe, accepts, timeoutMs, claim) => {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const seen = await observe().catch((error) => ({ error: String(error.cause?.code ?? error.message) }))
    if (accepts(seen)) return seen
    if (Date.now() > deadline)
      throw new CheckFailed(`${claim} within ${timeoutMs / 1000} s\n     found: ${brief(seen)}`)
    await pause(20)
  }
}

export const checkUnchanged = async (before, claim) => {
  const now = await read()
  check(now.version === before.version && now.etag === before.etag && now.price === before.price, claim, {
    before,
    now,
  })
}

/** Titles of the steps in which something did not hold. */
export const failures = []

export const step = async (title, run) => {
  console.log(`\n${title}`)
  try {
    await run()
  } catch (error) {
    const reason = error instanceof CheckFailed ? error.message : String(error.cause ?? error.stack ?? error)
    failures.push(title)
    say(`✗ ${reason}`)
  }
}
