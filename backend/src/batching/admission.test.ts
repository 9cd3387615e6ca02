import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Admission, requestsUnderWayMax } from './admission.ts'

function setUp() {
  const clock = { now: 1_000_000 }
  const admission = new Admission(() => clock.now)
  const begin = () => {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const done = admission.run(() => promise)
    done.catch(() => {})
    return { resolve, reject, done }
  }
  return { clock, admission, begin }
}

test('requests are let in up to the limit, and again as others end, however they end', async () => {
  const { admission, begin } = setUp()
  const requests = Array.from({ length: requestsUnderWayMax }, begin)
  assert.equal(admission.refusal, 'overloaded')
  requests[0]?.resolve()
  await requests[0]?.done
  assert.equal(admission.refusal, undefined)
  requests[1]?.reject(new Error('gone'))
  await assert.rejects(requests[1]?.done ?? Promise.resolve())
  assert.equal(admission.refusal, undefined)
})

test('a database that answers nothing is gone, not overloaded; an idle one is not', async () => {
  const { clock, admission, begin } = setUp()
  clock.now += 3_600_000
  const requests = Array.from({ length: requestsUnderWayMax }, begin)
  clock.now += 600
  assert.equal(admission.refusal, 'overloaded')
  for (const { reject } of requests) reject(new Error('late'))
  await Promise.allSettled(requests.map(({ done }) => done))
  const again = Array.from({ length: requestsUnderWayMax }, begin)
  assert.equal(admission.refusal, 'database_unavailable')
  again[0]?.resolve()
  await again[0]?.done
  begin()
  assert.equal(admission.refusal, 'overloaded')
})
