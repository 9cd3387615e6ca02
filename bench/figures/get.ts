/** Reads by id, against Express without anything behind it. */

import { withHello } from '../anchors/hello.ts'
import { inTurns, type Context, type Figure, type Row } from '../figure.ts'
import { wrkGet } from '../load/wrk.ts'
import { connections, properties } from './put.ts'

async function run(context: Context): Promise<readonly Row[]> {
  const bed = await context.bed('alone')
  const { dir } = bed
  const reads = async (seconds: number): Promise<number> => {
    const url = bed.backend('us').url
    const result = await wrkGet({ dir, url, connections, seconds, ...properties })
    return result.ok / result.seconds
  }
  return withHello(async (url) => {
    const hellos = async (seconds: number): Promise<number> => {
      const result = await wrkGet({ dir, url, connections, seconds, path: '/' })
      return result.ok / result.seconds
    }
    await hellos(context.warmUpSeconds / 2)
    await reads(context.warmUpSeconds / 2)
    const { values, anchors } = await inTurns(
      context,
      () => reads(context.seconds),
      () => hellos(context.seconds),
    )
    return [
      {
        title: 'GET by id, one backend, 64 connections',
        unit: '/s',
        values,
        anchor: { title: 'Express 5 that says hello', values: anchors },
        goal: { atLeast: 0.7 },
      },
    ]
  })
}

export const get: Figure = { name: 'get', beds: ['alone'], run }
