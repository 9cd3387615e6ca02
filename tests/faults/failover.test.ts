/** A region loses its only backend under load: the other one answers, no request fails, and the traffic comes back. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { waitUntil } from '../../local/wait.ts'
import type { AcknowledgedWrite } from '../support/history.ts'
import { idsFrom, type Load } from '../support/load.ts'
import { assertNoFailures, underLoad } from '../support/trial.ts'
import { useSystem } from '../support/use-system.ts'

const convergenceMaxMs = 15_000
/** Writes seen after a change, before the next: enough to have met every connection and worker of NGINX. */
const writesPerPhase = 100
const phaseTimeoutMs = 20_000
/** NGINX asks a failed home again after 2–3 s, each of its workers for itself. */
const homeAgainMaxMs = 15_000

const clients = { us: 8, eu: 4 }
/** Well below what two cores can do: a request that is late is late because of the fault. */
const writesPerSecond = 150

const system = useSystem()

const isHome = ({ write, failover, servedBy }: AcknowledgedWrite): boolean =>
  write.region === 'us' && !failover && servedBy === 'us'
const isAway = ({ write, failover, servedBy }: AcknowledgedWrite): boolean =>
  write.region === 'us' && failover && servedBy === 'eu'

/** From now on writes asked of the US are answered by Europe, and say so. Returns when the first one was. */
async function goesAway(load: Load): Promise<number> {
  const away = await load.acknowledges(writesPerPhase, { which: isAway, timeoutMs: phaseTimeoutMs })
  return away[0]?.at ?? 0
}

/** Resolves when all of the last writes asked of the US were answered there. */
async function comesHome(load: Load): Promise<void> {
  await waitUntil(
    () => {
      const last = load.history.acknowledged
        .filter(({ write }) => write.region === 'us')
        .slice(-writesPerPhase)
      return last.every(isHome)
    },
    { timeoutMs: homeAgainMaxMs, intervalMs: 10, what: 'the traffic to come home' },
  )
}

test('kill -9 of a backend: no request fails, and home again after its restart', async (t) => {
  const trial = await underLoad(
    t,
    system,
    { properties: idsFrom(1, 40), clients, writesPerSecond, convergenceMaxMs },
    async (load) => {
      const killedAt = performance.now()
      await system.backend('us').kill()
      const awayAt = await goesAway(load)
      const restartedAt = performance.now()
      await system.backend('us').start()
      await comesHome(load)
      t.diagnostic(
        `first answer from eu after ${Math.round(awayAt - killedAt)} ms; ` +
          `home again ${Math.round(performance.now() - restartedAt)} ms after the restart`,
      )
    },
  )
  assertNoFailures(trial)
})

test('SIGTERM of a backend: no request fails', async (t) => {
  const trial = await underLoad(
    t,
    system,
    { properties: idsFrom(101, 40), clients, writesPerSecond, convergenceMaxMs },
    async (load) => {
      await system.backend('us').stop()
      await goesAway(load)
      await system.backend('us').start()
      await comesHome(load)
    },
  )
  assertNoFailures(trial)
  assert.equal(trial.audit.twins, 0, 'a request that was being answered was cut off')
})

test('SIGSTOP and SIGCONT of a backend: no request fails, and what ran twice is on record', async (t) => {
  const { us } = system.databases
  const trial = await underLoad(
    t,
    system,
    { properties: idsFrom(201, 40), clients, writesPerSecond, convergenceMaxMs },
    async (load) => {
      const pausedAt = performance.now()
      system.backend('us').pause()
      const awayAt = await goesAway(load)
      await waitUntil(
        async () => (await us.query('SELECT FROM pg_replication_slots WHERE NOT active')).rowCount === 1,
        { timeoutMs: phaseTimeoutMs, what: 'the frozen relay to lose its slot' },
      )
      t.diagnostic(
        `first answer from eu after ${Math.round(awayAt - pausedAt)} ms; ` +
          `slot free after ${Math.round(performance.now() - pausedAt)} ms`,
      )
      system.backend('us').resume()
      await comesHome(load)
    },
  )
  assertNoFailures(trial)
})
