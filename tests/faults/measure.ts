/**
 * Figures of the system under load and faults: `node tests/faults/measure.ts` prints one JSON line for each, in about three minutes;
 * with names (`memory`, `visibility`, `saturation`, `failover`, `takeover`) only those.
 *
 * From a write's commit to its visibility in the other region is taken from PostgreSQL itself: both databases keep the
 * commit time of every transaction, and every accepted write has a claim in each of them, inserted by the write there
 * and by the applier here. Nothing polls, so measuring costs nothing, and both clocks are this machine's.
 */

import { readFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { Part } from '../../local/parts/part.ts'
import type { Stack } from '../../local/parts/stack.ts'
import { memoryMb, processTree } from '../../local/process-table.ts'
import { audit, readVectors } from '../support/audit.ts'
import type { AcknowledgedWrite, History } from '../support/history.ts'
import { idsFrom, Load, type LoadOptions } from '../support/load.ts'
import { waitForEqualRegions } from '../support/regions.ts'
import { oneDoesAll, waitForRoles } from '../support/roles.ts'
import { startSystem, type System } from '../support/system.ts'

const settleMs = 10_000
const rates = [100, 500]
const rateSeconds = 30
/** The first writes meet cold caches and code that is not compiled yet. */
const warmUpSeconds = 10
const saturationSeconds = 10
const convergenceTimeoutMs = 30_000
const phaseTimeoutMs = 20_000
const ways = ['kill -9', 'SIGSTOP'] as const
type Way = (typeof ways)[number]

const round = (value: number): number => Math.round(value * 10) / 10

function report(figure: string, values: Readonly<Record<string, unknown>>): void {
  console.log(JSON.stringify({ figure, ...values }))
}

function percentiles(values: readonly number[]): Record<string, number> {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number): number => round(sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN)
  return { count: sorted.length, p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) }
}

/** PostgreSQL keeps commit times only if it was started so. */
async function keepCommitTimes({ postgres }: Stack): Promise<void> {
  for (const part of Object.values(postgres)) {
    await part.start()
    const client = new pg.Client({ connectionString: part.url })
    await client.connect()
    await client.query('ALTER SYSTEM SET track_commit_timestamp = on')
    await client.end()
    await part.stop()
  }
}

/** Commit time of each request's claim in a region, in ms since the epoch. */
async function commitTimes(database: pg.Pool, requestIds: readonly string[]): Promise<Map<string, number>> {
  const { rows } = await database.query<{ request_id: string; at: number }>(
    `SELECT request_id, (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000)::float8 AS at
     FROM claims WHERE request_id = ANY ($1::text[])`,
    [requestIds],
  )
  return new Map(rows.map(({ request_id, at }) => [request_id, at]))
}

/** Runs a load and checks that nothing of it was lost. */
async function measuredLoad(
  system: System,
  options: Omit<LoadOptions, 'url'>,
  during: (load: Load) => Promise<unknown>,
): Promise<{ history: History; convergedMs: number }> {
  const before = await readVectors(system.databases.us, options.properties)
  const load = Load.start({ ...options, url: system.stack.url })
  let history: History
  try {
    await during(load)
  } finally {
    history = await load.stop()
  }
  const convergedMs = await waitForEqualRegions(system, {
    since: history.lastAt,
    timeoutMs: convergenceTimeoutMs,
  })
  const { problems } = await audit(system.databases.us, history, before)
  if (problems.length > 0) throw new Error(problems.join('\n'))
  return { history, convergedMs }
}

async function measureVisibility(system: System, writesPerSecond: number): Promise<void> {
  const options = { properties: idsFrom(1, 1_000), clients: { us: 12, eu: 12 }, writesPerSecond, alone: true }
  const began = performance.now()
  const { history } = await measuredLoad(system, options, () => delay(rateSeconds * 1_000))
  const measured = history.acknowledged.filter(({ at }) => at > began + warmUpSeconds * 1_000)
  const ids = measured.map(({ write }) => write.requestId)
  const times = {
    us: await commitTimes(system.databases.us, ids),
    eu: await commitTimes(system.databases.eu, ids),
  }
  const timesOf = ({ write, servedBy }: AcknowledgedWrite): [home: number, away: number] => {
    const [us, eu] = [times.us.get(write.requestId) ?? 0, times.eu.get(write.requestId) ?? 0]
    return servedBy === 'us' ? [us, eu] : [eu, us]
  }
  const rate = round(measured.length / (rateSeconds - warmUpSeconds))
  const conditions = { writesPerSecond: rate, failed: history.failures.length }
  const toVisible = measured.map((known) => timesOf(known)[1] - timesOf(known)[0])
  report('commit to visible in the other region, ms', { ...conditions, ...percentiles(toVisible) })
  const afterAnswer = measured.map((known) => timesOf(known)[1] - (performance.timeOrigin + known.at))
  report('answer to visible in the other region, ms', { ...conditions, ...percentiles(afterAnswer) })
  report('write through NGINX, ms', {
    ...conditions,
    ...percentiles(measured.map((known) => known.latencyMs)),
  })
}

async function measureSaturation(system: System): Promise<void> {
  const options = { properties: idsFrom(1, 40), clients: { us: 12, eu: 12 } }
  const { history, convergedMs } = await measuredLoad(system, options, () => delay(saturationSeconds * 1_000))
  report('24 clients as fast as they can on 40 properties', {
    writesPerSecond: round(history.acknowledged.length / saturationSeconds),
    failed: history.failures.length,
    equalAfterMs: round(convergedMs),
  })
}

/** Resident memory of a part's processes; shared pages count in each of them, so PostgreSQL's share is told too. */
function memoryOf({ pid }: Part): { rssMb: number; ownMb: number; processes: number } {
  if (pid === undefined) throw new Error('the part does not run')
  const tree = processTree(pid)
  const kilobytes = tree.map((info) => {
    const status = readFileSync(`/proc/${info.pid}/status`, 'latin1')
    return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0)
  })
  const rssMb = Math.round(kilobytes.reduce((sum, kb) => sum + kb, 0) / 1024)
  return { rssMb, ownMb: memoryMb(pid), processes: tree.length }
}

function measureMemory({ stack }: System, when: string): void {
  for (const part of stack.parts) report(`memory ${when}`, { part: part.name, ...memoryOf(part) })
}

async function measureFailover(system: System, how: Way): Promise<void> {
  const backend = system.backend('us')
  const options = { properties: idsFrom(1, 1_000), clients: { us: 12, eu: 4 }, writesPerSecond: 200 }
  let firstMs = 0
  let homeMs = 0
  const { history } = await measuredLoad(system, options, async (load) => {
    await load.acknowledges(200)
    const beganAt = performance.now()
    if (how === 'SIGSTOP') backend.pause()
    else await backend.kill()
    const away = await load.acknowledges(200, {
      which: ({ write, failover }) => write.region === 'us' && failover,
    })
    firstMs = (away[0]?.at ?? 0) - beganAt
    const returnedAt = performance.now()
    if (how === 'SIGSTOP') backend.resume()
    else await backend.start()
    const home = await load.acknowledges(1, {
      which: ({ write, failover }) => write.region === 'us' && !failover,
      timeoutMs: phaseTimeoutMs,
    })
    homeMs = (home[0]?.at ?? 0) - returnedAt
  })
  report(`failover, ${how}`, {
    failed: history.failures.length,
    firstAnswerMs: round(firstMs),
    slowestMs: round(Math.max(...history.acknowledged.map(({ latencyMs }) => latencyMs))),
    homeAgainMs: round(homeMs),
  })
}

async function measureTakeover(system: System, how: Way): Promise<void> {
  const { holder, standby } = await oneDoesAll(system)
  if (how === 'SIGSTOP') holder.pause()
  else await holder.kill()
  report(`takeover, ${how}`, await waitForRoles(standby, phaseTimeoutMs))
  if (how === 'SIGSTOP') holder.resume()
  else await holder.start()
}

async function withSystem(options: Parameters<typeof startSystem>[0], work: (s: System) => Promise<void>) {
  const beganAt = performance.now()
  const system = await startSystem(options)
  try {
    report('start until both regions have heard of each other', { ms: round(performance.now() - beganAt) })
    await work(system)
  } finally {
    await system.stop()
  }
}

const wanted = process.argv.slice(2)
const isWanted = (...names: string[]): boolean =>
  wanted.length === 0 || names.some((name) => wanted.includes(name))

report('machine', { cores: cpus().length, loadAverage: round(loadavg()[0] ?? 0) })
if (isWanted('memory', 'visibility', 'saturation', 'failover')) {
  await withSystem({ prepare: keepCommitTimes }, async (system) => {
    if (isWanted('memory')) {
      await delay(settleMs)
      measureMemory(system, 'at rest')
    }
    if (isWanted('visibility')) for (const rate of rates) await measureVisibility(system, rate)
    if (isWanted('saturation')) await measureSaturation(system)
    if (isWanted('memory')) measureMemory(system, 'at the end')
    if (isWanted('failover')) for (const how of ways) await measureFailover(system, how)
  })
}
if (isWanted('takeover')) {
  await withSystem({ backendsPerRegion: 2 }, async (system) => {
    for (const how of ways) await measureTakeover(system, how)
  })
}
