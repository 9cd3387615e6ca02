/** Many writers on few properties: most are told 409 with the current state, and try again from there. */

import { pgbenchHotWrites } from '../anchors/pgbench.ts'
import type { Bed } from '../bed.ts'
import { checkedPut, countClaims, readProgress } from '../checks.ts'
import { inTurns, type Context, type Figure, type Row } from '../figure.ts'
import { wrkPut } from '../load/wrk.ts'
import { median } from '../statistics.ts'
import { connections, properties, warmUp } from './put.ts'

const hot = 10

type Mix = { readonly answersPerSecond: number; readonly acceptedShare: number }

async function overHttp(bed: Bed, seconds: number): Promise<Mix> {
  const url = bed.backend('us').url
  const result = await checkedPut(bed, (versions) =>
    wrkPut({ dir: bed.dir, url, connections, seconds, versions, hot, ...properties }),
  )
  const answers = result.ok + result.refused
  return { answersPerSecond: answers / result.seconds, acceptedShare: result.ok / answers }
}

/** As many clients as there are connections: with fewer, fewer writes would be refused. */
async function onPgbench(bed: Bed, seconds: number): Promise<Mix> {
  const database = bed.database('us')
  const [writesBefore, claimsBefore] = [await readProgress(database), await countClaims(database)]
  const { transactions, perSecond } = await pgbenchHotWrites({
    dir: bed.dir,
    databaseUrl: bed.databaseUrl('us'),
    actor: await bed.actor(),
    clients: connections,
    until: { seconds },
    first: properties.first,
    hot,
  })
  const accepted = (await readProgress(database)) - writesBefore
  const claims = (await countClaims(database)).requests - claimsBefore.requests
  if (accepted !== claims) throw new Error(`WRONG: ${claims} claims for ${accepted} writes of pgbench`)
  return { answersPerSecond: perSecond, acceptedShare: accepted / transactions }
}

async function run(context: Context): Promise<readonly Row[]> {
  const bed = await context.bed('alone')
  await warmUp(context, bed)
  const shares = { ours: [] as number[], anchor: [] as number[] }
  const { values, anchors } = await inTurns(
    context,
    async () => {
      const { answersPerSecond, acceptedShare } = await overHttp(bed, context.seconds)
      shares.ours.push(acceptedShare)
      return answersPerSecond
    },
    async () => {
      const { answersPerSecond, acceptedShare } = await onPgbench(bed, context.seconds)
      shares.anchor.push(acceptedShare)
      return answersPerSecond
    },
  )
  const percent = (measured: readonly number[]): string => `${Math.round(100 * median(measured))} %`
  return [
    {
      title: `Answers (200 and 409), 64 connections write to ${hot} properties`,
      unit: '/s',
      values,
      anchor: { title: 'pgbench on the same 10 properties, 64 clients', values: anchors },
      goal: { atLeast: 1 },
      note: `accepted: ${percent(shares.ours)}, with pgbench ${percent(shares.anchor)}`,
    },
  ]
}

export const hotWrites: Figure = { name: 'hot', beds: ['alone'], run }
