/** Two backends in each region: what one of them did for the region, the other does when it is gone. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { idsFrom } from '../support/load.ts'
import { oneDoesAll, waitForRoles } from '../support/roles.ts'
import { assertNoFailures, underLoad } from '../support/trial.ts'
import { useSystem } from '../support/use-system.ts'

const convergenceMaxMs = 15_000
/** A crash is noticed at once, a freeze by the timeouts of the sessions (3 s the relay's, 5 s the applier's). */
const takeoverMaxMs = { crash: 3_000, freeze: 9_000 }

const load = { clients: { us: 8, eu: 4 }, writesPerSecond: 150, convergenceMaxMs }

const system = useSystem({ backendsPerRegion: 2 })

test('kill -9 of the backend that relays and applies: the other takes over', async (t) => {
  const { holder, standby } = await oneDoesAll(system)
  const trial = await underLoad(t, system, { ...load, properties: idsFrom(1, 40) }, async () => {
    await holder.kill()
    t.diagnostic(JSON.stringify(await waitForRoles(standby, takeoverMaxMs.crash)))
    await holder.start()
  })
  assertNoFailures(trial)
  assert.ok(
    trial.history.acknowledged.every(({ failover }) => !failover),
    'with a second backend the region answers itself',
  )
})

test('SIGSTOP of the backend that relays and applies: the other takes over, and its return harms nothing', async (t) => {
  const { holder, standby } = await oneDoesAll(system)
  const trial = await underLoad(t, system, { ...load, properties: idsFrom(101, 40) }, async (writes) => {
    holder.pause()
    t.diagnostic(JSON.stringify(await waitForRoles(standby, takeoverMaxMs.freeze)))
    holder.resume()
    await writes.acknowledges(200)
  })
  assertNoFailures(trial)
})
