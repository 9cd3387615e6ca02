#!/usr/bin/env node
/**
 * Optimistic locking, seen from outside: what a client may rely on when several of them change one property.
 *
 *   node tests/test_optimistic_locking.js [property id]
 *
 * Needs a running system and Node 18 or newer, nothing else. BASE_URL says where (http://localhost:8080).
 * Exit code 0: everything held; 1: something did not. It can be run at any time and as often as you like: it reads
 * before it writes, every write carries a fresh X-Request-ID, and it puts the first price back at the end.
 */

import { randomUUID } from 'node:crypto'

const baseUrl = (process.env.BASE_URL || 'http://localhost:8080').replace(/\/+$/, '')
const home = 'us'
const other = 'eu'
const concurrentWrites = 10
const workers = 5
const incrementsPerWorker = 4
const attemptsMax = 200
const startTimeoutMs = 60_000
const replicationTimeoutMs = 10_000
const requestTimeoutMs = 5_000
const totalTimeoutMs = 120_000

// Not property 1: the examples of the documentation write to it at version 1.
const propertyId = Number(process.argv[2] ?? 2 + Math.floor(Math.random() * 999))
const startedAt = Date.now()
const failures = []

class CheckFailed extends Error {}

const say = (text) => console.log(`   ${text}`)
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds))
const freshId = () => `locking-${randomUUID()}`
const brief = (value) => JSON.stringify(value)?.slice(0, 400)
const path = (region = home) => `/${region}/properties/${propertyId}`

const check = (holds, claim, found) => {
  if (!holds) throw new CheckFailed(found === undefined ? claim : `${claim}\n     found: ${brief(found)}`)
  say(`✓ ${claim}`)
}

const checkStatus = (answer, status, code, claim) => {
  const holds = answer.status === status && (code === undefined || answer.body?.code === code)
  check(holds, `${claim} → ${status}${code ? ` ${code}` : ''}`, holds ? undefined : answer)
}

/** One HTTP request; the answer's body is parsed if it is JSON. */
const request = async (method, where, { headers = {}, body } = {}) => {
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

const get = (where, headers = {}) => request('GET', where, { headers })
const put = (body, requestId = freshId(), headers = {}, region = home) =>
  request('PUT', path(region), {
    headers: requestId === undefined ? headers : { 'X-Request-ID': requestId, ...headers },
    body,
  })

/** The property as it is now. */
const read = async (region = home) => {
  const answer = await get(path(region))
  if (answer.status !== 200) throw new CheckFailed(`GET ${path(region)} → 200\n     found: ${brief(answer)}`)
  return answer.body
}

const cents = (price) => Math.round(price * 100)
const raised = (price, byCents) => (cents(price) + byCents) / 100

/** Repeats an observation until the predicate accepts it; fails with the last one when time is up. */
const until = async (observe, accepts, timeoutMs, claim) => {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const seen = await observe().catch((error) => ({ error: String(error.cause?.code ?? error.message) }))
    if (accepts(seen)) return seen
    if (Date.now() > deadline)
      throw new CheckFailed(`${claim} within ${timeoutMs / 1000} s\n     found: ${brief(seen)}`)
    await pause(20)
  }
}

const checkUnchanged = async (before, claim) => {
  const now = await read()
  check(now.version === before.version && now.etag === before.etag && now.price === before.price, claim, {
    before,
    now,
  })
}

const readsWithETag = async () => {
  const answer = await get(path())
  checkStatus(answer, 200, undefined, `GET ${path()}`)
  const { body, etag } = answer
  say(`“${body.title}”, price ${body.price}, version ${body.version}`)
  check(Number.isInteger(body.version) && body.version >= 1, 'it has an integer version', body.version)
  check(
    /^"[^"]+"$/.test(etag ?? '') && body.etag === etag,
    `the strong ETag ${etag} is also the member etag`,
    body,
  )
  const unchanged = await get(path(), { 'If-None-Match': etag })
  checkStatus(unchanged, 304, undefined, 'asking again with If-None-Match')
}

const oneOfManyWins = async () => {
  const before = await read()
  const bodies = Array.from({ length: concurrentWrites }, (_, index) => ({
    price: raised(before.price, index + 1),
    version: before.version,
  }))
  say(`${concurrentWrites} clients have read version ${before.version}; all write at once`)
  const answers = await Promise.all(bodies.map((body) => put(body)))
  const statuses = answers.map(({ status }) => status)
  const winners = answers.filter(({ status }) => status === 200)
  const losers = answers.filter(({ status }) => status === 409)
  check(winners.length === 1, 'exactly one write is accepted (200)', statuses)
  check(
    losers.length === concurrentWrites - 1,
    `the other ${concurrentWrites - 1} are refused (409)`,
    statuses,
  )
  const [winner] = winners
  check(winner.body.version === before.version + 1, 'the version grew by exactly one', winner.body)
  check(winner.body.price === bodies[answers.indexOf(winner)].price, 'the price is the winner’s', winner.body)
  const informed = ({ body }) => body.code === 'version_conflict' && body.current?.etag === winner.body.etag
  check(
    losers.every(informed),
    'every 409 carries the property as it is now',
    losers.find((l) => !informed(l)),
  )
  const now = await read()
  check(now.etag === winner.etag && now.price === winner.body.price, 'and that is what everybody reads', now)
}

/**
 * How a client changes a value that depends on the one it read: on 409, fetch, compute again, try again. A new body
 * gets a new X-Request-ID; if no clear answer comes (cut connection, 429, 5xx), the same body is sent again with the
 * same id, and a 422 duplicate_request then says that it had been accepted already.
 */
const raisePrice = async (byCents) => {
  let property = await read()
  let conflicts = 0
  let requestId = freshId()
  for (let attempt = 1; attempt <= attemptsMax; attempt++) {
    const body = { price: raised(property.price, byCents), version: property.version, etag: property.etag }
    const answer = await put(body, requestId).catch(() => ({ status: 503 }))
    if (answer.status === 200 || answer.body?.code === 'duplicate_request') return conflicts
    if (answer.status === 409) {
      conflicts++
      await pause(Math.random() * Math.min(100, 5 * conflicts)) // so that the losers do not collide again
      property = await read()
      requestId = freshId()
    } else if (answer.status === 429 || answer.status >= 500) {
      await pause(50 + Math.random() * 100)
    } else {
      throw new CheckFailed(`a write is answered 200, 409, 422, 429 or 5xx\n     found: ${brief(answer)}`)
    }
  }
  throw new CheckFailed(`a retrying client succeeds within ${attemptsMax} attempts`)
}

const retryLoopLosesNothing = async () => {
  const before = await read()
  const total = workers * incrementsPerWorker
  say(
    `${workers} clients raise the price by 1.00, ${incrementsPerWorker} times each, without waiting for each other`,
  )
  const work = async () => {
    let conflicts = 0
    for (let done = 0; done < incrementsPerWorker; done++) conflicts += await raisePrice(100)
    return conflicts
  }
  const conflicts = await Promise.all(Array.from({ length: workers }, work))
  say(
    `${conflicts.reduce((sum, count) => sum + count, 0)} conflicts on the way, all resolved by fetching and trying again`,
  )
  const now = await read()
  check(
    cents(now.price) === cents(before.price) + total * 100,
    `all ${total} increments are in the price`,
    now.price,
  )
  check(now.version === before.version + total, `the version grew by exactly ${total}`, now.version)
}

const retriedRequestCountsOnce = async () => {
  const before = await read()
  const requestId = freshId()
  const body = { price: raised(before.price, 700), version: before.version }
  const first = await put(body, requestId)
  checkStatus(first, 200, undefined, `PUT with X-Request-ID ${requestId}`)
  const again = await put(body, requestId)
  checkStatus(again, 422, 'duplicate_request', 'the same request again')
  const { original } = again.body
  const points =
    original?.status === 200 && original.version === first.body.version && original.etag === first.etag
  check(points, '“original” tells how it was answered the first time', again.body)
  const reused = await put(
    { ...body, price: raised(before.price, 900), version: first.body.version },
    requestId,
  )
  checkStatus(
    reused,
    422,
    'request_id_reused',
    'another body under the same id, even with the current version',
  )
  await checkUnchanged(first.body, 'the property was changed once')
}

const badRequestsChangeNothing = async () => {
  const before = await read()
  const valid = { price: raised(before.price, 1), version: before.version }
  const nameless = await request('PUT', path(), { body: valid })
  checkStatus(nameless, 400, 'missing_request_id', 'no X-Request-ID')
  const requestId = freshId()
  const invalid = [
    ['a price in words', { ...valid, price: 'a lot' }],
    ['a negative price', { ...valid, price: -1 }],
    ['a third decimal', { ...valid, price: 1.005 }],
    ['an unknown member', { ...valid, colour: 'green' }],
    ['no version', { price: valid.price }],
    ['nothing to change', { version: before.version }],
    ['no object', [valid]],
  ]
  for (const [name, body] of invalid) checkStatus(await put(body, requestId), 400, undefined, name)
  await checkUnchanged(before, 'none of them changed anything')
  checkStatus(
    await put(valid, requestId),
    200,
    undefined,
    'a refused X-Request-ID is still free: now with a valid body',
  )
}

const staleStatesAreRefused = async () => {
  const stale = await read()
  const moved = await put({ price: raised(stale.price, 100), version: stale.version })
  checkStatus(moved, 200, undefined, 'someone else changes the property')
  const now = moved.body
  const change = { price: raised(stale.price, 5_000) }
  const isCurrent = ({ body }) => body.current?.etag === now.etag && body.current.title === now.title
  const byVersion = await put({ ...change, version: stale.version })
  checkStatus(byVersion, 409, 'version_conflict', `a write with the old version ${stale.version}`)
  check(isCurrent(byVersion), `“current” is the whole property at version ${now.version}`, byVersion.body)
  checkStatus(
    await put({ ...change, etag: stale.etag }),
    409,
    'version_conflict',
    'a write with the old etag in its body',
  )
  const byHeader = await put(change, freshId(), { 'If-Match': stale.etag })
  checkStatus(byHeader, 412, 'precondition_failed', 'If-Match with the old ETag')
  check(isCurrent(byHeader), 'the 412 carries the current property too', byHeader.body)
  await checkUnchanged(now, 'nothing was overwritten')
  const matched = await put(change, freshId(), { 'If-Match': now.etag })
  checkStatus(matched, 200, undefined, 'If-Match with the current ETag')
  const echoed = await put({ ...matched.body, price: now.price })
  checkStatus(echoed, 200, undefined, 'the whole property sent back as it was read, with another price')
  check(
    echoed.body.version === now.version + 2,
    'each accepted write counts one version',
    echoed.body.version,
  )
}

const isSmallLag = ({ body }) => typeof body?.lag_seconds === 'number' && body.lag_seconds < 5

const otherRegionFollows = async () => {
  const before = await read()
  const requestId = freshId()
  const body = { price: raised(before.price, 1_234), version: before.version, etag: before.etag }
  const written = await put(body, requestId)
  checkStatus(written, 200, undefined, `PUT ${path()}`)
  const sentAt = Date.now()
  const arrived = (answer) => answer.body?.etag === written.etag
  const claim = `the write can be read from ${other}`
  const copy = await until(() => get(path(other)), arrived, replicationTimeoutMs, claim)
  check(copy.servedBy === other, `${claim} (${Date.now() - sentAt} ms after the answer)`, copy.servedBy)
  check(copy.body.price === written.body.price, 'with the same price under the same ETag', copy.body)
  const lagClaim = `GET /${other}/replication-lag tells a small lag`
  const lag = await until(() => get(`/${other}/replication-lag`), isSmallLag, replicationTimeoutMs, lagClaim)
  check(home in lag.body.sources, `${lagClaim}: ${lag.body.lag_seconds} s behind ${home}`, lag.body)
  const retry = await put(body, requestId, {}, other)
  checkStatus(retry, 422, 'duplicate_request', `the same request, retried in ${other}`)
}

const step = async (title, run) => {
  console.log(`\n${title}`)
  try {
    await run()
  } catch (error) {
    const reason = error instanceof CheckFailed ? error.message : String(error.cause ?? error.stack ?? error)
    failures.push(title)
    say(`✗ ${reason}`)
  }
}

const waitForSystem = async () => {
  const first = await get(path()).catch(() => undefined)
  if (first?.status !== 200)
    say(
      `no answer yet; waiting up to ${startTimeoutMs / 1000} s (start it with: npm start, or docker-compose up -d)`,
    )
  for (const region of [home, other])
    await until(
      () => get(path(region)),
      (answer) => answer.status === 200 && answer.servedBy === region,
      startTimeoutMs,
      `region ${region} answers for itself at ${baseUrl}`,
    )
}

const putFirstPriceBack = async (price) => {
  const now = await read()
  const restored = now.price === price ? { status: 200 } : await put({ price, etag: now.etag })
  if (restored.status !== 200) say(`(the first price ${price} could not be put back: ${brief(restored)})`)
}

const main = async () => {
  if (!Number.isSafeInteger(propertyId) || propertyId < 1) {
    console.error('usage: node tests/test_optimistic_locking.js [property id]')
    return 1
  }
  console.log(`Optimistic locking at ${baseUrl}, on property ${propertyId}`)
  await step('Is the system up?', waitForSystem)
  if (failures.length > 0) return 1
  const { price } = await read()
  await step('1. A property is read with its version and ETag', readsWithETag)
  await step('2. Of concurrent writes with equal versions, one wins', oneOfManyWins)
  await step('3. Conflict, fetch, retry: no update is lost', retryLoopLosesNothing)
  await step('4. A retried request takes effect once', retriedRequestCountsOnce)
  await step('5. Invalid requests change nothing', badRequestsChangeNothing)
  await step('6. Writes based on an old state are refused', staleStatesAreRefused)
  await step(`7. Region ${other} follows`, otherRegionFollows)
  await putFirstPriceBack(price)
  const seconds = ((Date.now() - startedAt) / 1000).toFixed(1)
  if (failures.length > 0)
    console.log(`\nFAILED after ${seconds} s:\n${failures.map((title) => `  ${title}`).join('\n')}`)
  else console.log(`\nPASSED in ${seconds} s`)
  return failures.length > 0 ? 1 : 0
}

process.exitCode = await main().catch((error) => {
  console.error(`\nFAILED: ${error.cause ?? error.message}`)
  return 1
})
