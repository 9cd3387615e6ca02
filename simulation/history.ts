/** Executes a plan: breaks and heals things at their times, waits until everything is merged, and judges. */

import { checkEnd, greatestLag, type EndReport } from './check.ts'
import { Clients } from './client.ts'
import { unstorableTitle } from './database.ts'
import type { FaultStep, Plan } from './plan.ts'
import { World } from './world.ts'

const probeIntervalUs = 97_000
/** Everything must be merged so long after the last fault has healed. */
const settleMaxMs = 40_000
/**
 * One history in so many goes on when everything is merged: whatever the clocks say, no lag above so many seconds is told
 * in the end. A relay waits 10 s for an answer that never comes.
 */
const calmEvery = 8
const calmLagMax = 1
const calmMaxMs = 15_000

export interface Result extends EndReport {
  readonly plan: Plan
  readonly problems: readonly string[]
  readonly virtualMs: number
  readonly events: number
}

const nothing: EndReport = { integerExceptions: 0, twins: 0, conflicts: 0, deletes: 0, restores: 0 }

export async function runHistory(plan: Plan, trace?: (line: string) => void): Promise<Result> {
  const world = new World(plan, trace)
  const clients = new Clients(world)
  const { scheduler, observation } = world
  for (const { backends } of world.regions) for (const backend of backends) backend.start()
  let pending = plan.steps.length
  for (const step of plan.steps) {
    scheduler.after(step.atMs * 1000, () => {
      if (step.kind === 'write') clients.run(step)
      else strike(world, step)
      pending--
    })
  }
  const probe = (): void => {
    observation.checkWatermarks()
    scheduler.after(probeIntervalUs, probe)
  }
  scheduler.after(probeIntervalUs, probe)

  const failed = (): boolean => observation.problems.length > 0
  const untilMs = plan.durationMs + 10_000
  await scheduler.run(
    () => failed() || (pending === 0 && clients.idle && scheduler.nowMs > plan.durationMs),
    untilMs * 1000,
  )
  heal(world)
  const settled = await scheduler.run(
    () => failed() || (clients.idle && isSettled(world)),
    (scheduler.nowMs + settleMaxMs) * 1000,
  )
  if (!settled) observation.fail(`not everything is merged ${settleMaxMs / 1000} s after the last fault`)
  if (!failed()) observation.checkWatermarks()
  if (!failed() && plan.seed % calmEvery === 0) {
    const calm = (): boolean => greatestLag(world) <= calmLagMax
    if (!(await scheduler.run(calm, scheduler.now + calmMaxMs * 1000))) {
      observation.fail(`everything is merged, but a lag is told as ${greatestLag(world)} s`)
    }
  }
  const report = failed() ? nothing : checkEnd(world)
  for (const { backends } of world.regions) for (const backend of backends) backend.dispose()
  return {
    plan,
    problems: observation.problems,
    virtualMs: scheduler.nowMs,
    events: scheduler.executed,
    ...report,
  }
}

function strike(world: World, step: FaultStep): void {
  const { scheduler, log, trace } = world
  const later = (run: () => void): void => void scheduler.after('forMs' in step ? step.forMs * 1000 : 0, run)
  switch (step.kind) {
    case 'crash':
    case 'stop':
    case 'freeze':
    case 'ambush': {
      const backend = world.backend(step.node)
      const act = (strikes: 'crash' | 'stop' | 'freeze' | 'database'): void => {
        if (strikes === 'database')
          return crashDatabase(world, step.node.split('/')[0] as string, Math.min(step.forMs, 1000))
        backend[strikes]()
        if (strikes === 'freeze') later(() => backend.resume())
        else scheduler.after((step.forMs + (strikes === 'stop' ? 150 : 0)) * 1000, () => backend.start())
      }
      if (step.kind === 'ambush') backend.lieInWait({ ...step, strike: () => act(step.strike) })
      else act(step.kind)
      return
    }
    case 'database':
      return crashDatabase(world, step.region, step.forMs)
    case 'cut':
      trace(step.region, 'is cut from Kafka')
      log.cut.add(step.region)
      return later(() => log.cut.delete(step.region))
    case 'disturb':
      trace(step.region, 'has a bad path to Kafka')
      log.disturbed.add(step.region)
      return later(() => log.disturbed.delete(step.region))
    case 'poison':
      trace('somebody', `publishes what is no event: ${step.text}`)
      return log.append({
        partition: step.partition,
        key: Buffer.from('1'),
        value: Buffer.from(poisonOf(step.text)),
      })
    case 'clock':
      return stepClock(world, step.region, step.byUs)
    case 'checkpoint':
      return world.region(step.region).database.wal.checkpoint()
    default:
      return step satisfies never
  }
}

function crashDatabase(world: World, region: string, downMs: number): void {
  const { database, sessions } = world.region(region)
  if (!database.up) return
  world.trace(region, 'its database crashes')
  sessions.crash()
  world.scheduler.after(downMs * 1000, () => {
    world.trace(region, 'its database is back')
    database.up = true
  })
}

function stepClock(world: World, region: string, byUs: number): void {
  world.trace(region, `sets its clock by ${byUs / 1e6} s`)
  world.region(region).database.skew += byUs
  world.observation.onClockStep(region)
}

/** An event that every release understands and no database stores; all others are quarantined for their text. */
function poisonOf(text: string): string {
  if (text !== unstorableTitle) return text
  const fields = {
    price: 1,
    bedrooms: 1,
    bathrooms: 1,
    title: unstorableTitle,
    description: '',
    status: 'sold',
  }
  const acceptance = {
    property: 99,
    actor: 'xx.a1',
    n: 1,
    fingerprint: 'f',
    status: 200,
    version: 2,
    etag: '"xx.a1:1"',
    xid: '1',
    t: 1,
  }
  return JSON.stringify({
    schema: 1,
    type: 'property',
    actor: 'xx.a1',
    property: { id: 99, region_origin: 'xx', ...fields },
    vector: { 'xx.a1': 1 },
    stamps: {},
    conflicts: [],
    claims: [{ request_id: 'poison', acceptances: [acceptance] }],
  })
}

function heal(world: World): void {
  world.trace('everything', 'is healed')
  world.log.cut.clear()
  world.log.disturbed.clear()
  for (const { backends, database } of world.regions) {
    database.up = true
    for (const backend of backends) {
      backend.resume()
      backend.start()
    }
  }
}

/** Whether each region's watermark of each other has passed everything that was ever emitted there. */
function isSettled(world: World): boolean {
  const poisoned = world.plan.steps.filter(({ kind }) => kind === 'poison').length
  return world.regions.every(
    ({ database, backends }) =>
      database.up &&
      database.quarantine.committed.size >= poisoned &&
      backends.every((backend) => backend.running) &&
      world.regions.every((other) => {
        if (other.database === database) return true
        const watermark = database.watermarkOf(other.database.actor)
        return watermark !== null && BigInt(watermark.xmin) > BigInt(other.database.lastEventXid)
      }),
  )
}
