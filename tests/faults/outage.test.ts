/** Kafka, databases and backends are killed or frozen under load: nothing acknowledged is lost, nothing doubled. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { waitUntil } from '../../local/wait.ts'
import { idsFrom } from '../support/load.ts'
import { outageSeconds } from '../support/settings.ts'
import { regionNames, type RegionName } from '../support/system.ts'
import { assertNoFailures, underLoad } from '../support/trial.ts'
import { useSystem } from '../support/use-system.ts'

/** Kafka serves 9 s after a kill (measured); then everything that has waited for it is published and merged. */
const afterKafkaMaxMs = 60_000
const convergenceMaxMs = 20_000
const recoveryMaxMs = 20_000
/** A lag below this is "caught up". */
const lagNearZero = 1
/** A sample of the lag each second shows this much more of it. */
const lagGrowthMin = 0.7
const backendKills = 3

const load = { clients: { us: 6, eu: 6 }, writesPerSecond: 300 }

const system = useSystem()

async function lagOf(region: RegionName): Promise<number | null> {
  const { status, body } = await system.askBackend(system.backend(region), `/${region}/replication-lag`)
  assert.equal(status, 200)
  return body['lag_seconds'] as number | null
}

/** Watches the outage second by second: regions stay healthy, and their lag grows each time. */
async function watchOutage(): Promise<void> {
  const last: Record<RegionName, number> = { us: 0, eu: 0 }
  for (let second = 1; second <= outageSeconds; second++) {
    await delay(1_000)
    for (const region of regionNames) {
      const { status } = await system.askBackend(system.backend(region), `/${region}/health`)
      assert.equal(status, 200, `health of ${region}`)
      const lag = await lagOf(region)
      assert.ok(lag !== null, `no lag in ${region}`)
      if (second > 1) {
        assert.ok(
          lag >= last[region] + lagGrowthMin,
          `lag in ${region}: ${last[region]} → ${lag} in a second`,
        )
      }
      last[region] = lag
    }
  }
  assert.ok(Math.min(last.us, last.eu) >= outageSeconds - 2, `lag ${JSON.stringify(last)} at the end`)
}

async function waitForLagNearZero(): Promise<number> {
  const began = performance.now()
  await waitUntil(
    async () => {
      const lags = await Promise.all(regionNames.map(lagOf))
      return lags.every((lag) => lag !== null && lag < lagNearZero)
    },
    { timeoutMs: afterKafkaMaxMs, what: 'the lag to come down' },
  )
  return performance.now() - began
}

test(`kill -9 of Kafka for ${outageSeconds} s: writes go on, none is lost`, async (t) => {
  const { kafka } = system.stack
  const options = { ...load, properties: idsFrom(1, 100), convergenceMaxMs: afterKafkaMaxMs }
  const trial = await underLoad(t, system, options, async () => {
    await kafka.kill()
    await watchOutage()
    const began = performance.now()
    await kafka.start()
    const servesMs = performance.now() - began
    const lagMs = await waitForLagNearZero()
    t.diagnostic(
      `Kafka serves after ${Math.round(servesMs)} ms, lag near 0 after another ${Math.round(lagMs)} ms`,
    )
  })
  assertNoFailures(trial)
})

const freezes = outageSeconds >= 15
test(`SIGSTOP of Kafka for ${outageSeconds} s`, { skip: !freezes && 'OUTAGE_S < 15' }, async (t) => {
  const { kafka } = system.stack
  const options = { ...load, properties: idsFrom(201, 100), convergenceMaxMs: afterKafkaMaxMs }
  const trial = await underLoad(t, system, options, async () => {
    kafka.pause()
    try {
      await watchOutage()
    } finally {
      kafka.resume()
    }
    t.diagnostic(`lag near 0 after ${Math.round(await waitForLagNearZero())} ms`)
  })
  assertNoFailures(trial)
})

for (const region of regionNames) {
  test(`kill -9 of PostgreSQL in ${region}: the other region answers, and nothing is lost`, async (t) => {
    const part = system.stack.postgres[region]
    assert.ok(part)
    const first = region === 'us' ? 301 : 401
    const options = { ...load, properties: idsFrom(first, 100), convergenceMaxMs }
    await underLoad(t, system, options, async (writes) => {
      const killedAt = performance.now()
      await part.kill()
      const away = await writes.acknowledges(100, {
        which: ({ write, failover }) => write.region === region && failover,
      })
      const { status, body } = await system.askBackend(system.backend(region), `/${region}/health`)
      assert.deepEqual([status, body['code']], [503, 'database_unavailable'])
      await part.start()
      const startedAt = performance.now()
      await writes.acknowledges(100, {
        which: ({ write, failover }) => write.region === region && !failover,
        timeoutMs: recoveryMaxMs,
      })
      const homeMs = performance.now() - startedAt
      const lagMs = await waitForLagNearZero()
      t.diagnostic(
        `first answer from the other region after ${Math.round((away[0]?.at ?? 0) - killedAt)} ms; home again ` +
          `${Math.round(homeMs)} ms after the start of PostgreSQL, lag near 0 ${Math.round(lagMs)} ms later`,
      )
    })
  })
}

test(`kill -9 of both backends, ${backendKills} times each, in mid-stream`, async (t) => {
  const options = { ...load, properties: idsFrom(501, 100), convergenceMaxMs }
  const trial = await underLoad(t, system, options, async (writes) => {
    for (let round = 0; round < backendKills; round++) {
      for (const region of regionNames) {
        const backend = system.backend(region)
        await backend.kill()
        await backend.start()
        // The next one dies only when NGINX has seen this one live again.
        await writes.acknowledges(20, {
          which: ({ write, failover }) => write.region === region && !failover,
          timeoutMs: recoveryMaxMs,
        })
      }
    }
  })
  assertNoFailures(trial)
})
