/**
 * Writes through NGINX while every one of them is replicated to the other region, against the same without replication:
 * Kafka and the other region's backend are frozen then, so that neither takes part in anything.
 */

import { setTimeout as delay } from 'node:timers/promises'
import { waitForCatchUp } from '../checks.ts'
import { inTurns, type Context, type Figure, type Row } from '../figure.ts'
import { median } from '../statistics.ts'
import { putsPerSecond, warmUp } from './put.ts'

/** Until the relay's queue is full and nothing moves any more. */
const settleMs = 500

async function run(context: Context): Promise<readonly Row[]> {
  const bed = await context.bed('replicated')
  const url = bed.edgeUrl
  await warmUp(context, bed, { url })
  await waitForCatchUp(bed)
  const behindMs: number[] = []
  const { values, anchors } = await inTurns(
    context,
    async () => {
      const rate = await putsPerSecond(bed, context.seconds, { url })
      behindMs.push(await waitForCatchUp(bed))
      return rate
    },
    async () => {
      bed.pauseReplication()
      await delay(settleMs)
      try {
        return await putsPerSecond(bed, context.seconds, { url })
      } finally {
        bed.resumeReplication()
        await waitForCatchUp(bed)
      }
    },
  )
  const behind = (median(behindMs) / 1_000).toFixed(1)
  return [
    {
      title: 'PUT through NGINX, replicated to the other region meanwhile',
      unit: '/s',
      values,
      anchor: { title: 'the same without replication', values: anchors },
      goal: { atLeast: 0.6 },
      note: `the other region had everything ${behind} s after the load's end`,
    },
  ]
}

export const throughNginx: Figure = { name: 'nginx', beds: ['replicated'], run }
