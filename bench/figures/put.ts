/** Accepted writes on one backend, against what PostgreSQL alone does with the same write. */

import { pgbenchWrites } from '../anchors/pgbench.ts'
import type { Bed } from '../bed.ts'
import { checkedAnchor, checkedPut } from '../checks.ts'
import { inTurns, type Context, type Figure, type Row } from '../figure.ts'
import { wrkPut } from '../load/wrk.ts'

export const connections = 64
export const pgbenchClients = 16
/** All seeds. */
export const properties = { first: 1, count: 1_000 }

/** Accepted writes a second, each connection on properties of its own. */
export async function putsPerSecond(
  bed: Bed,
  seconds: number,
  { url = bed.backend('us').url, range = properties, random = false } = {},
): Promise<number> {
  const { ok, seconds: took } = await checkedPut(bed, (versions) =>
    wrkPut({ dir: bed.dir, url, connections, seconds, versions, random, ...range }),
  )
  return ok / took
}

/** Writes until caches are full and code is compiled, once for each system. */
export async function warmUp(
  { warmUpSeconds }: Context,
  bed: Bed,
  options: Parameters<typeof putsPerSecond>[2] = {},
): Promise<void> {
  if (bed.isWarm) return
  await putsPerSecond(bed, warmUpSeconds, options)
  bed.isWarm = true
}

/** The same writes by pgbench on the same database. */
export async function pgbenchPerSecond(
  bed: Bed,
  seconds: number,
  { clients = pgbenchClients, range = properties } = {},
): Promise<{ perSecond: number; averageMs: number }> {
  const actor = await bed.actor()
  return checkedAnchor(bed.database('us'), () =>
    pgbenchWrites({
      dir: bed.dir,
      databaseUrl: bed.databaseUrl('us'),
      actor,
      clients,
      until: { seconds },
      ...range,
    }),
  )
}

async function run(context: Context): Promise<readonly Row[]> {
  const { seconds } = context
  const bed = await context.bed('alone')
  await warmUp(context, bed)
  const { values, anchors } = await inTurns(
    context,
    () => putsPerSecond(bed, seconds),
    async () => (await pgbenchPerSecond(bed, seconds)).perSecond,
  )
  return [
    {
      title: 'PUT, one backend, 64 connections, distinct properties',
      unit: '/s',
      values,
      anchor: { title: 'pgbench of the same statement, prepared, 16 clients', values: anchors },
      goal: { atLeast: 1 },
    },
  ]
}

export const put: Figure = { name: 'put', beds: ['alone'], run }
