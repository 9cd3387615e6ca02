import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Request, Response } from 'express'
import { setContext, unmatchedRoute } from './request-context.ts'
import { boundTurns, turnRequestsMax } from './turn.ts'

/** A clock that a test moves, and requests that are read in the present turn. */
function setUp() {
  const clock = { now: 0 }
  const handler = boundTurns(() => clock.now)
  /** Status of the refusal, or undefined if the request is taken on. */
  const ask = async (path = '/us/properties/1'): Promise<number | undefined> => {
    const response = { locals: {}, status: undefined as number | undefined, end: () => response }
    const writable = Object.assign(response, {
      writeHead(status: number) {
        response.status = status
        return response
      },
    }) as unknown as Response
    setContext(writable, {
      requestedRegion: 'us',
      requestId: undefined,
      route: unmatchedRoute,
      outcome: 'ok',
      probe: false,
    })
    let taken = false
    await handler({ path } as Request, writable, () => {
      taken = true
    })
    return taken ? undefined : response.status
  }
  return { clock, ask }
}

test('a long turn takes on its number of requests and refuses more, except probes; the next one begins anew', async () => {
  const { clock, ask } = setUp()
  for (let number = 0; number < turnRequestsMax; number++) {
    clock.now += 2
    assert.equal(await ask(), undefined)
  }
  assert.equal(await ask(), 429)
  assert.equal(await ask('/us/health'), undefined)
  assert.equal(await ask('/metrics'), undefined)
  await nextTurn()
  assert.equal(await ask(), undefined)
})

test('a turn that is short takes on everything, and one that was held up a few', async () => {
  const short = setUp()
  for (let number = 0; number < 10 * turnRequestsMax; number++) assert.equal(await short.ask(), undefined)
  const heldUp = setUp()
  assert.equal(await heldUp.ask(), undefined)
  heldUp.clock.now = 10_000
  assert.equal(await heldUp.ask(), undefined)
})
