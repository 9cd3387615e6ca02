/** A write that is alone: nothing may wait for company. */

import { checkedPut } from '../checks.ts'
import { inTurns, type Context, type Figure, type Row } from '../figure.ts'
import { wrkPut } from '../load/wrk.ts'
import { pgbenchPerSecond, properties, warmUp } from './put.ts'

async function run(context: Context): Promise<readonly Row[]> {
  const bed = await context.bed('alone')
  const { dir } = bed
  const url = bed.backend('us').url
  await warmUp(context, bed)
  const { values, anchors } = await inTurns(
    context,
    async () => {
      const { seconds } = context
      const result = await checkedPut(bed, (versions) =>
        wrkPut({ dir, url, connections: 1, seconds, versions, ...properties }),
      )
      return result.p50Ms
    },
    async () => (await pgbenchPerSecond(bed, context.seconds, { clients: 1 })).averageMs,
  )
  return [
    {
      title: 'PUT, one connection: median latency',
      unit: 'ms',
      values,
      anchor: { title: "one pgbench client's average latency", values: anchors },
      goal: { atMost: 1.5 },
    },
  ]
}

export const latency: Figure = { name: 'latency', beds: ['alone'], run }
