/**
 * From a write's commit to its visibility in the other region, at half of the greatest load. Both times are PostgreSQL's
 * own: the commits of the write's claim here and there. Nothing polls, and both clocks are this machine's.
 */

import type pg from 'pg'
import type { Bed } from '../bed.ts'
import { checkedPut, waitForCatchUp } from '../checks.ts'
import type { Context, Figure, Row } from '../figure.ts'
import { wrkPut } from '../load/wrk.ts'
import { median, percentile, threeDigits } from '../statistics.ts'
import { connections, properties, putsPerSecond, warmUp } from './put.ts'

const loadShare = 0.5
/** Part of a load that is not counted: the connections all begin at once. */
const rampShare = 0.2
/** About what a write takes at this load: the rest of a connection's time is a pause. */
const answerMs = 4
const lengthFactor = 2

type CommitTimes = ReadonlyMap<string, number>

/** Commit time of each claim, ms since the epoch. */
async function commitTimes(database: pg.Pool, from: number): Promise<CommitTimes> {
  const { rows } = await database.query<{ request_id: string; at: number }>(
    `SELECT request_id, (extract(epoch FROM at) * 1000)::float8 AS at
     FROM (SELECT request_id, pg_xact_commit_timestamp(xmin) AS at FROM claims) AS claim
     WHERE at >= to_timestamp($1::float8 / 1000)`,
    [from],
  )
  return new Map(rows.map(({ request_id, at }) => [request_id, at]))
}

/** How long each write of a load took to get there, ms, and the load's rate. */
async function measure(bed: Bed, rate: number, seconds: number): Promise<{ delays: number[]; rate: number }> {
  const beganAt = Date.now()
  const pauseMs = Math.max(0, (connections * 1_000) / rate - answerMs)
  const result = await checkedPut(bed, (versions) =>
    wrkPut({ dir: bed.dir, url: bed.edgeUrl, connections, seconds, versions, pauseMs, ...properties }),
  )
  await waitForCatchUp(bed)
  const here = await commitTimes(bed.database('us'), beganAt + seconds * 1_000 * rampShare)
  const there = await commitTimes(bed.database('eu'), beganAt)
  const delays = [...here].map(([requestId, at]) => {
    const arrived = there.get(requestId)
    if (arrived === undefined) throw new Error(`WRONG: ${requestId} is not in the other region`)
    return arrived - at
  })
  return { delays, rate: result.ok / result.seconds }
}

async function run(context: Context): Promise<readonly Row[]> {
  const bed = await context.bed('replicated')
  await warmUp(context, bed, { url: bed.edgeUrl })
  await waitForCatchUp(bed)
  const greatest = await putsPerSecond(bed, context.seconds, { url: bed.edgeUrl })
  await waitForCatchUp(bed)
  const [p50, p99, rates] = [[] as number[], [] as number[], [] as number[]]
  for (let round = 0; round < context.rounds; round++) {
    const { delays, rate } = await measure(bed, greatest * loadShare, context.seconds * lengthFactor)
    p50.push(percentile(delays, 0.5))
    p99.push(percentile(delays, 0.99))
    rates.push(rate)
    context.say(`  round ${round + 1}: ${p50.at(-1)?.toFixed(1)} and ${p99.at(-1)?.toFixed(1)} ms`)
  }
  const note = `at ${threeDigits(median(rates))} writes a second through NGINX, ${Math.round((100 * median(rates)) / greatest)} % of the greatest load`
  const title = 'Commit to visible in the other region'
  return [
    { title: `${title}: median`, unit: 'ms', values: p50, goal: { atMost: 15 }, note },
    { title: `${title}: 99 of 100`, unit: 'ms', values: p99, goal: { atMost: 75 }, note },
  ]
}

export const visible: Figure = { name: 'visible', beds: ['replicated'], run }
