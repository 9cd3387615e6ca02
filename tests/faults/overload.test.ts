/**
 * One backend is asked for many times what it can serve: it goes on serving as much as it can in time, refuses the rest
 * at once as 429, is itself again as soon as the load is over, and what it acknowledged is what the database holds.
 *
 * Nothing here knows how fast the machine is: the capacity is measured first, and everything else is a multiple of it or
 * a bound of the contract.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryMb } from '../../local/process-table.ts'
import { waitUntil } from '../../local/wait.ts'
import { offer, quantile, type Offer, type Offered } from '../support/offer.ts'
import { overloadSeconds } from '../support/settings.ts'
import { useSystem } from '../support/use-system.ts'

/** The contract's bound on every answer. */
const answerMaxMs = 700
/** As many times the capacity are offered. */
const overload = 10
/** At least so many times the capacity has to arrive, or this was no overload. */
const arrivedMin = 1.5
/** Several times what a backend takes on at a time; those who find no free connection wait on their side. */
const clients = 1_000
const capacityClients = 64
const warmUpSeconds = 3
const capacitySeconds = 3
/** Served under overload, at least, of the capacity: a service that only refuses would pass everything else. */
const goodputMin = 0.25
const recoveryMaxMs = 2_000
/** What a backend's container has (docker-compose.yml). */
const memoryMaxMb = 512
const memoryIntervalMs = 250
const properties = 1_000

const system = useSystem()

const perSecond = ({ acknowledged }: Offered, seconds: number): number => acknowledged.length / seconds

function load(options: Pick<Offer, 'prefix' | 'perSecond' | 'connections' | 'seconds'>): Promise<Offered> {
  const { hostname, port } = new URL(system.backend('us').url)
  return offer({ host: hostname, port: Number(port), properties, ...options })
}

/** As many writes as a backend serves when its clients wait for their answers. */
async function measureCapacity(): Promise<{ capacity: number; usualMs: number }> {
  const common = { perSecond: null, connections: capacityClients }
  await load({ ...common, prefix: 'warm-up-', seconds: warmUpSeconds })
  const measured = await load({ ...common, prefix: 'capacity-', seconds: capacitySeconds })
  assert.deepEqual(Object.keys(measured.statuses), ['200'])
  return {
    capacity: perSecond(measured, capacitySeconds),
    usualMs: Math.min(answerMaxMs, quantile(measured.latenciesMs, 0.99)),
  }
}

/** The greatest memory of the backend while `work` lasts. */
async function watchMemory<T>(work: Promise<T>): Promise<{ result: T; mostMb: number }> {
  const { pid } = system.backend('us')
  let mostMb = 0
  const timer = setInterval(() => {
    mostMb = Math.max(mostMb, memoryMb(pid ?? 0))
  }, memoryIntervalMs)
  try {
    return { result: await work, mostMb }
  } finally {
    clearInterval(timer)
  }
}

/** How long until a request is served as fast as usual. */
async function recover(usualMs: number): Promise<number> {
  const began = performance.now()
  const isUsual = async (): Promise<boolean> => {
    const sentAt = performance.now()
    const { status } = await system.askBackend(system.backend('us'), '/us/properties/1')
    return status === 200 && performance.now() - sentAt <= usualMs
  }
  await waitUntil(isUsual, { timeoutMs: recoveryMaxMs, intervalMs: 10, what: 'an answer as usual' })
  return performance.now() - began
}

/** Sum of all versions: it grows by one with each accepted write. */
async function versions(): Promise<number> {
  const { rows } = await system.databases.us.query<{ sum: number }>(
    'SELECT sum(version)::float8 AS sum FROM properties',
  )
  return rows[0]?.sum ?? Number.NaN
}

/** Every write that was answered 200 is in the database once, and none that was refused. */
async function assertExact({ acknowledged }: Offered, prefix: string, grown: number): Promise<void> {
  const { rows } = await system.databases.us.query<{ request_id: string; times: number }>(
    `SELECT request_id, jsonb_array_length(acceptances) AS times FROM claims WHERE starts_with(request_id, $1)`,
    [prefix],
  )
  const found = new Set(rows.map(({ request_id }) => request_id))
  const lost = acknowledged.filter((number) => !found.has(`${prefix}${number}`))
  assert.deepEqual(lost, [], 'acknowledged, but not in the database')
  assert.equal(found.size, acknowledged.length, 'accepted without an acknowledgement')
  assert.ok(rows.every(({ times }) => times === 1))
  assert.equal(grown, acknowledged.length, 'versions grow by one with each acknowledged write')
}

test(`${overload} times the capacity, for ${overloadSeconds} s`, async (t) => {
  const { capacity, usualMs } = await measureCapacity()
  const versionsBefore = await versions()
  const prefix = 'overload-'
  const offering = load({
    prefix,
    perSecond: capacity * overload,
    connections: clients,
    seconds: overloadSeconds,
  })
  const { result, mostMb } = await watchMemory(offering)
  const recoveredMs = await recover(usualMs)
  const { statuses, failures, sent, withoutRetryAfter } = result
  const arrived = sent / overloadSeconds
  const accepted = perSecond(result, overloadSeconds)
  const p99 = quantile(result.latenciesMs, 0.99)
  t.diagnostic(
    `capacity ${Math.round(capacity)}/s, usual p99 ${Math.round(usualMs)} ms; arrived ${Math.round(arrived)}/s, ` +
      `accepted ${Math.round(accepted)}/s, p50 ${Math.round(quantile(result.latenciesMs, 0.5))} ms, ` +
      `p99 ${Math.round(p99)} ms; ${JSON.stringify(statuses)}; at most ${mostMb} MB; ` +
      `as usual ${Math.round(recoveredMs)} ms after the end`,
  )
  assert.deepEqual(failures, {}, 'connections were cut, or requests left without an answer')
  assert.deepEqual(Object.keys(statuses).toSorted(), ['200', '429'])
  assert.equal(withoutRetryAfter, 0)
  assert.ok(p99 < answerMaxMs, `p99 of the accepted is ${p99} ms`)
  assert.ok(arrived > capacity * arrivedMin, 'this was no overload')
  assert.ok(accepted > capacity * goodputMin, 'hardly anything is served')
  assert.ok(mostMb > 0 && mostMb < memoryMaxMb, `${mostMb} MB`)
  await assertExact(result, prefix, (await versions()) - versionsBefore)
})
