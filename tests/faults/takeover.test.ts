/** Two backends in each region: what one of them did for the region, the other does when it is gone. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { waitForRole } from '../support/roles.ts'
import { assertNoFailures, underLoad } from '../support/trial.ts'
import { useSystem } from '../support/use-system.ts'

const convergenceMaxMs = 15_000
/** A crash is noticed at once, a freeze by the timeouts of the sessions (3 s the relay's, 5 s the applier's). */
const takeoverMaxMs = { crash: 3_000, freeze: 9_000 }
const startTimeoutMs = 20_000

const idsFrom = (first: number, count: number): number[] => Array.from({ length: count }, (_, i) => first + i)
const load = { clients: { us: 8, eu: 4 }, writesPerSecond: 150, convergenceMaxMs }

const system = useSystem({ backendsPerRegion: 2 })

const us = () => [system.backend('us', 0), system.backend('us', 1)] as const

/** Gives both roles to one backend, by a restart of the other, and returns it with its stand-by. */
async function oneDoesAll() {
  const [first, second] = us()
  await second.stop()
  await waitForRole([first], 'relay', startTimeoutMs)
  await waitForRole([first], 'applier', startTimeoutMs)
  await second.start()
  return { holder: first, standby: second }
}

test('kill -9 of the backend that relays and applies: the other takes over', async (t) => {
  const { holder, standby } = await oneDoesAll()
  const trial = await underLoad(t, system, { ...load, properties: idsFrom(1, 40) }, async () => {
    await holder.kill()
    const [relay, applier] = await Promise.all([
      waitForRole([standby], 'relay', takeoverMaxMs.crash),
      waitForRole([standby], 'applier', takeoverMaxMs.crash),
    ])
    t.diagnostic(`relay after ${Math.round(relay.ms)} ms, applier after ${Math.round(applier.ms)} ms`)
    await holder.start()
  })
  assertNoFailures(trial)
  assert.ok(
    trial.history.acknowledged.every(({ failover }) => !failover),
    'with a second backend the region answers itself',
  )
})

test('SIGSTOP of the backend that relays and applies: the other takes over, and its return harms nothing', async (t) => {
  const { holder, standby } = await oneDoesAll()
  const trial = await underLoad(t, system, { ...load, properties: idsFrom(101, 40) }, async (writes) => {
    holder.pause()
    const [relay, applier] = await Promise.all([
      waitForRole([standby], 'relay', takeoverMaxMs.freeze),
      waitForRole([standby], 'applier', takeoverMaxMs.freeze),
    ])
    t.diagnostic(`relay after ${Math.round(relay.ms)} ms, applier after ${Math.round(applier.ms)} ms`)
    holder.resume()
    await writes.acknowledges(200)
  })
  assertNoFailures(trial)
})
