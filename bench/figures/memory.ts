/** What a backend keeps in memory: as fast as it can write, and while Kafka is away and nothing leaves it. */

import { readFileSync } from 'node:fs'
import type { Part } from '../../local/parts/part.ts'
import { checkedPut } from '../checks.ts'
import type { Context, Figure, Row } from '../figure.ts'
import { wrkPut } from '../load/wrk.ts'
import { median } from '../statistics.ts'
import { connections, properties, putsPerSecond } from './put.ts'

const limitMb = 250
/** The last quarter may hold this much more than the second one: what V8 leaves lying varies more than that. */
const growthMax = 1.1
const sampleMs = 500
/** The goal speaks of ten minutes. */
const outageSeconds = { quick: 4, full: 60, long: 600 } as const
const outageRate = 1_000
const fullLoadFactor = 2

/** Resident memory of one process, MB. */
function residentMb({ pid }: Part): number {
  const status = pid === undefined ? '' : readFileSync(`/proc/${pid}/status`, 'latin1')
  const kilobytes = /^VmRSS:\s+(\d+)/m.exec(status)?.[1]
  if (kilobytes === undefined) throw new Error('the memory of a process is read from /proc, on Linux only')
  return Number(kilobytes) / 1_024
}

async function sampled(part: Part, work: () => Promise<unknown>): Promise<number[]> {
  const samples: number[] = []
  const timer = setInterval(() => samples.push(residentMb(part)), sampleMs)
  try {
    await work()
  } finally {
    clearInterval(timer)
  }
  return samples
}

/** Last quarter over second quarter. */
export function growth(samples: readonly number[]): number {
  const quarter = Math.floor(samples.length / 4)
  return median(samples.slice(-quarter)) / median(samples.slice(quarter, 2 * quarter))
}

async function run(context: Context): Promise<readonly Row[]> {
  const bed = await context.bed('replicated')
  const backend = bed.backend('us')
  const { url } = backend
  const full = await sampled(backend, () =>
    putsPerSecond(bed, context.rounds * context.seconds * fullLoadFactor, { url }),
  )
  const seconds = outageSeconds[context.size]
  await bed.stack.kafka.stop()
  let outage: number[]
  try {
    const pauseMs = (connections * 1_000) / outageRate
    outage = await sampled(backend, () =>
      checkedPut(bed, (versions) =>
        wrkPut({ dir: bed.dir, url, connections, seconds, versions, pauseMs, ...properties }),
      ),
    )
  } finally {
    await bed.stack.kafka.start()
  }
  const title = `Kafka down ${seconds} s, ${outageRate.toLocaleString('en')} writes/s`
  return [
    {
      title: 'Greatest memory of a backend under full load',
      unit: 'MB',
      values: [Math.max(...full)],
      goal: { atMost: limitMb },
      note: 'resident; the backend is at once relay and applier',
    },
    {
      title: `Greatest memory of the relay's backend, ${title}`,
      unit: 'MB',
      values: [Math.max(...outage)],
      goal: { atMost: limitMb },
    },
    {
      title: `Growth of that memory, ${title}`,
      note: 'median of the last quarter of the time over that of the second quarter',
      unit: '×',
      values: [growth(outage)],
      goal: { atMost: growthMax },
    },
  ]
}

export const memory: Figure = { name: 'memory', beds: ['replicated'], run }
