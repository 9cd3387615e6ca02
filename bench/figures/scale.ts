/** Whether a write costs more where there are many properties, or after many writes. */

import type pg from 'pg'
import { pgbenchWrites } from '../anchors/pgbench.ts'
import type { Bed } from '../bed.ts'
import { largeProperties } from '../beds.ts'
import { checkedAnchor } from '../checks.ts'
import { inTurns, type Context, type Figure, type Row } from '../figure.ts'
import { pgbenchClients, properties, putsPerSecond, warmUp } from './put.ts'

/** Writes that the aged database has seen; the goal speaks of two million. */
const writes = { quick: 16_000, full: 480_000, long: 2_000_000 } as const

async function compare(
  context: Context,
  { bed, count = properties.count }: { bed: Bed; count?: number },
  fresh: Bed,
): Promise<{ values: number[]; anchors: number[] }> {
  const random = true
  const range = { first: properties.first, count }
  const { seconds } = context
  await warmUp(context, bed, { range, random })
  await warmUp(context, fresh, { random })
  return inTurns(
    context,
    () => putsPerSecond(bed, seconds, { range, random }),
    () => putsPerSecond(fresh, seconds, { random }),
  )
}

async function runScale(context: Context): Promise<readonly Row[]> {
  const count = largeProperties[context.size]
  const [bed, fresh] = [await context.bed('large'), await context.bed('fresh')]
  const { values, anchors } = await compare(context, { bed, count }, fresh)
  return [
    {
      title: `PUT at ${count.toLocaleString('en')} properties`,
      unit: '/s',
      values,
      anchor: { title: `at ${properties.count.toLocaleString('en')}`, values: anchors },
      goal: { atLeast: 0.9 },
    },
  ]
}

type TableState = { updates: number; hotUpdates: number; dead: number; live: number; bytes: number }

async function tableState(database: pg.Pool, table: string): Promise<TableState> {
  const { rows } = await database.query<TableState>(
    `SELECT n_tup_upd::float8 AS updates, n_tup_hot_upd::float8 AS "hotUpdates", n_dead_tup::float8 AS dead,
       n_live_tup::float8 AS live, pg_total_relation_size(relid)::float8 AS bytes
     FROM pg_stat_user_tables WHERE relname = $1`,
    [table],
  )
  return rows[0] as TableState
}

const megabytes = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(1)} MB`

async function runAgeing(context: Context): Promise<readonly Row[]> {
  const count = writes[context.size]
  const [bed, fresh] = [await context.bed('aged'), await context.bed('fresh')]
  const actor = await bed.actor()
  const database = bed.database('us')
  await checkedAnchor(database, () =>
    pgbenchWrites({
      dir: bed.dir,
      databaseUrl: bed.databaseUrl('us'),
      actor,
      clients: pgbenchClients,
      until: { perClient: count / pgbenchClients },
      ...properties,
    }),
  )
  const [table, claims] = [await tableState(database, 'properties'), await tableState(database, 'claims')]
  const { values, anchors } = await compare(context, { bed }, fresh)
  const hotShare = ((100 * table.hotUpdates) / table.updates).toFixed(1)
  return [
    {
      title: `PUT after ${count.toLocaleString('en')} updates of ${properties.count.toLocaleString('en')} properties`,
      unit: '/s',
      values,
      anchor: { title: 'on a fresh database', values: anchors },
      goal: { atLeast: 0.9 },
      note:
        `${hotShare} % of the updates were heap-only; properties: ${megabytes(table.bytes)}, ` +
        `${table.dead} dead rows beside ${table.live}; claims: ${megabytes(claims.bytes)}`,
    },
  ]
}

export const scale: Figure = { name: 'scale', beds: ['fresh', 'large'], run: runScale }
export const ageing: Figure = { name: 'ageing', beds: ['fresh', 'aged'], run: runAgeing }
