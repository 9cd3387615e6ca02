/** Several backends on one region's database: each has its share of the connections, directly, without NGINX between. */

import type { Bed } from '../bed.ts'
import { checkedPut } from '../checks.ts'
import type { Context, Figure, Row } from '../figure.ts'
import { joinResults, wrkPut } from '../load/wrk.ts'
import { connections, properties, putsPerSecond } from './put.ts'

const numbers = [1, 2, 4] as const
const most = Math.max(...numbers)

async function putsOnSeveral(bed: Bed, backends: number, seconds: number): Promise<number> {
  const count = Math.floor(properties.count / backends)
  const { ok, seconds: took } = await checkedPut(bed, async (versions) => {
    const loads = Array.from({ length: backends }, (_, index) =>
      wrkPut({
        dir: bed.dir,
        url: bed.backend('us', index).url,
        connections: connections / backends,
        seconds,
        versions,
        first: properties.first + index * count,
        count,
      }),
    )
    return joinResults(await Promise.all(loads))
  })
  return ok / took
}

async function run(context: Context): Promise<readonly Row[]> {
  const bed = await context.bed('alone')
  const more = Array.from({ length: most - 1 }, (_, index) => bed.backend('us', index + 1))
  await Promise.all(more.map((backend) => backend.start()))
  const values = new Map(numbers.map((number) => [number, [] as number[]]))
  try {
    await putsPerSecond(bed, context.warmUpSeconds / 2)
    await putsOnSeveral(bed, most, context.warmUpSeconds)
    for (let round = 0; round < context.rounds; round++) {
      for (const number of round % 2 === 0 ? numbers : numbers.toReversed()) {
        values.get(number)?.push(await putsOnSeveral(bed, number, context.seconds))
      }
    }
  } finally {
    await Promise.all(more.map((backend) => backend.stop()))
  }
  const one = { title: 'one backend, 64 connections', values: values.get(1) ?? [] }
  return numbers
    .filter((number) => number > 1)
    .map((number) => ({
      title: `PUT, ${number} backends on one database, ${connections / number} connections each`,
      unit: '/s',
      values: values.get(number) ?? [],
      anchor: one,
    }))
}

export const backends: Figure = { name: 'backends', beds: ['alone'], run }
