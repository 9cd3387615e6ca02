/**
 * How fast a region takes what has waited for it: one backlog through relay, Kafka and applier, against logical
 * replication of the same tables with the same backlog. While it is written, and while the other one is measured,
 * everything that replicates is frozen. The time begins when the first events are there, as waking up is not meant.
 */

import type pg from 'pg'
import { pgbenchWrites } from '../anchors/pgbench.ts'
import { createNative, type Native } from '../anchors/native.ts'
import type { Bed } from '../bed.ts'
import { backlogProperties } from '../beds.ts'
import { checkedAnchor, readProgress, waitForCatchUp } from '../checks.ts'
import { inTurns, type Context, type Figure, type Row } from '../figure.ts'
import { waitUntil } from '../../local/wait.ts'
import { pgbenchClients } from './put.ts'

const backlogs = { quick: 20_000, full: 200_000, long: 200_000 } as const
const arrivalTimeoutMs = 300_000
/** Asking reads all properties, which takes the database some 10 to 40 ms. */
const arrivalIntervalMs = 500

type Backlog = { readonly events: number; readonly properties: number }

/** Writes of the backlog, spread over all properties. */
async function writeBacklog(
  bed: Bed,
  { database, databaseUrl }: { database: pg.Pool; databaseUrl: string },
  { events, properties }: Backlog,
): Promise<void> {
  const actor = await bed.actor()
  await checkedAnchor(database, () =>
    pgbenchWrites({
      dir: bed.dir,
      databaseUrl,
      actor,
      clients: pgbenchClients,
      until: { perClient: events / pgbenchClients },
      first: 1,
      count: properties,
    }),
  )
}

/** Watches how a backlog arrives after `resume`, and returns how fast, from the first of it on. */
async function arrivalRate(database: pg.Pool, events: number, resume: () => Promise<void>): Promise<number> {
  const before = await readProgress(database)
  await resume()
  const seen: Array<{ at: number; arrived: number }> = []
  await waitUntil(
    async () => {
      const arrived = (await readProgress(database)) - before
      if (arrived > 0) seen.push({ at: performance.now(), arrived })
      return arrived >= events
    },
    { timeoutMs: arrivalTimeoutMs, intervalMs: arrivalIntervalMs, what: `${events} events to arrive` },
  )
  const [first, last] = [seen[0], seen.at(-1)]
  if (!first || !last || first === last) throw new Error(`${events} events are too few to see them arrive`)
  return (last.arrived - first.arrived) / ((last.at - first.at) / 1_000)
}

async function ownRate(bed: Bed, backlog: Backlog): Promise<number> {
  freezeAll(bed)
  try {
    await writeBacklog(bed, { database: bed.database('us'), databaseUrl: bed.databaseUrl('us') }, backlog)
    return await arrivalRate(bed.database('eu'), backlog.events, async () => thawAll(bed))
  } finally {
    thawAll(bed)
  }
}

async function nativeRate(bed: Bed, native: Native, backlog: Backlog): Promise<number> {
  freezeAll(bed)
  try {
    await writeBacklog(bed, { database: native.source, databaseUrl: native.sourceUrl }, backlog)
    const rate = await arrivalRate(native.target, backlog.events, native.resume)
    await native.pause()
    return rate
  } finally {
    thawAll(bed)
    await waitForCatchUp(bed)
  }
}

function freezeAll(bed: Bed): void {
  bed.backend('us').pause()
  bed.pauseReplication()
}

function thawAll(bed: Bed): void {
  bed.resumeReplication()
  bed.backend('us').resume()
}

async function run(context: Context): Promise<readonly Row[]> {
  const bed = await context.bed('replicated')
  const backlog = { events: backlogs[context.size], properties: backlogProperties[context.size] }
  await waitForCatchUp(bed)
  const native = await createNative(bed, backlog.properties)
  try {
    const { values, anchors } = await inTurns(
      { ...context, rounds: context.size === 'quick' ? 1 : context.rounds },
      () => ownRate(bed, backlog),
      () => nativeRate(bed, native, backlog),
    )
    const [events, properties] = [backlog.events, backlog.properties].map((count) =>
      count.toLocaleString('en'),
    )
    return [
      {
        title: `Catch-up of ${events} events about ${properties} properties, whole pipeline`,
        unit: '/s',
        values,
        anchor: { title: 'native logical replication of the same two tables', values: anchors },
        goal: { atLeast: 1 },
      },
    ]
  } finally {
    await native.stop()
  }
}

export const catchUp: Figure = { name: 'catch-up', beds: ['replicated'], run }
