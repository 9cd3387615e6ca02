import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { UnavailableError } from './http/store.ts'
import { answerMaxMs, orUnavailable } from './region-store.ts'

const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length

test('what has not ended in time is unavailable, and not a moment earlier', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const failures: unknown[] = []
  orUnavailable(new Promise(() => {})).catch((error: unknown) => failures.push(error))
  t.mock.timers.tick(answerMaxMs - 1)
  await turn()
  assert.equal(failures.length, 0)
  t.mock.timers.tick(1)
  await turn()
  const [error] = failures
  assert.ok(error instanceof UnavailableError)
  assert.equal(error.code, 'database_unavailable')
})

test('what has ended is passed on, a failure as unavailable with its cause, and leaves no timer', async () => {
  const before = timers()
  assert.equal(await orUnavailable(Promise.resolve(7)), 7)
  const cause = new Error('connection lost')
  await assert.rejects(orUnavailable(Promise.reject(cause)), (error: unknown) => {
    assert.ok(error instanceof UnavailableError)
    assert.equal(error.cause, cause)
    return true
  })
  assert.equal(timers(), before)
})
