/** A whole run: systems one after the other, in each of them epochs, and everything that was seen in one record. */

import { mkdir } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { runEpoch, type EpochResult } from './epoch.ts'
import type { Wanted } from './arguments.ts'
import { Nemesis } from './nemesis.ts'
import { planSteps } from './plan.ts'
import { seeded } from './random.ts'
import type { EpochRecord, FaultRecord, RunRecord } from './record.ts'
import { takeOverCompose } from './compose-target.ts'
import { startLocalTarget, type Target } from './target.ts'

const epochMaxMs = 180_000
const msPerMinute = 60_000
/** Properties written in one epoch, and of how many in all: few enough for writers to meet. */
const epochProperties = 60
const seededProperties = 960

type Results = {
  readonly epochs: EpochRecord[]
  readonly results: EpochResult[]
}

/** Runs what is wanted, telling each fault; never throws for what is wrong with the system. */
export async function runProof(wanted: Wanted, tell: (line: string) => void): Promise<RunRecord> {
  const startedAt = new Date().toISOString()
  const origin = performance.now()
  const done: Results = { epochs: [], results: [] }
  const sizes = sizesOf(wanted)
  let ended: string | undefined
  for (const [index, backendsPerRegion] of sizes.entries()) {
    try {
      await runSystem({
        wanted: { ...wanted, seed: wanted.seed + index, minutes: wanted.minutes / sizes.length },
        origin,
        backendsPerRegion,
        done,
        tell,
      })
    } catch (error) {
      ended = error instanceof Error ? (error.stack ?? error.message) : String(error)
      break
    }
  }
  const collect = <K extends keyof EpochResult>(key: K): Array<EpochResult[K]> =>
    done.results.map((result) => result[key])
  const problems = collect('problems').flat()
  if (ended !== undefined) {
    problems.push({ check: 'the run itself', at: performance.now() - origin, text: ended })
  }
  return {
    seed: wanted.seed,
    scenario: wanted.scenario,
    target: wanted.target,
    minutes: wanted.minutes,
    startedAt,
    cores: availableParallelism(),
    durationMs: performance.now() - origin,
    passed: problems.length === 0,
    problems,
    epochs: done.epochs,
    faults: collect('faults').flat(),
    failures: collect('failures').flat(),
    seconds: collect('seconds').flat(),
    samples: collect('samples').flat(),
  }
}

/** Backends in each region, of the systems that are tried one after the other; 0: as many as are there. */
function sizesOf({ target, backends }: Wanted): readonly number[] {
  if (target === 'compose') return [0]
  return backends === undefined ? [1, 2] : [backends]
}

async function runSystem({
  wanted,
  origin,
  backendsPerRegion,
  done,
  tell,
}: {
  wanted: Wanted
  origin: number
  backendsPerRegion: number
  done: Results
  tell: (line: string) => void
}): Promise<void> {
  const what =
    wanted.target === 'compose'
      ? 'taking over the compose project'
      : `starting a system with ${backendsPerRegion} backend(s) in each region`
  tell(`${timeOf(performance.now() - origin)}  ${what}`)
  const target =
    wanted.target === 'compose' ? await takeOverCompose() : await startLocalTarget(backendsPerRegion)
  const nemesis = new Nemesis(target, () => performance.now() - origin)
  let failed = true
  try {
    failed = await runEpochs({ wanted, origin, backendsPerRegion, done, tell, target, nemesis })
  } finally {
    nemesis.close()
    if (failed) await keepLogs(target, join(wanted.out, 'logs', `${backendsPerRegion}`))
    await target.stop()
  }
}

async function keepLogs(target: Target, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  await target.keepLogs(folder)
}

async function runEpochs({
  wanted,
  origin,
  done,
  tell,
  target,
  nemesis,
}: Parameters<typeof runSystem>[0] & { target: Target; nemesis: Nemesis }): Promise<boolean> {
  const random = seeded(wanted.seed)
  const plan = planSteps(random, wanted.scenario, {
    regions: Object.keys(target.databases),
    parts: [...target.parts.keys()],
    links: [...target.links.keys()],
  })
  let number = 0
  const end = performance.now() + wanted.minutes * msPerMinute
  let failed = false
  for (let epoch = 0; performance.now() < end; epoch++) {
    const first = ((epoch * epochProperties) % seededProperties) + 1
    const result = await runEpoch({
      target,
      nemesis,
      random: seeded(wanted.seed + epoch),
      properties: Array.from({ length: epochProperties }, (_, index) => first + index),
      origin,
      until: Math.min(end, performance.now() + epochMaxMs),
      nextStep: () => ({ step: plan.next().value, number: ++number }),
      onFaults: (faults, failures) => tell(describeFaults(faults, failures)),
    })
    done.results.push(result)
    const perRegion = target.backends.length / Object.keys(target.databases).length
    done.epochs.push({ ...result.epoch, backendsPerRegion: perRegion })
    tell(describeEpoch(result))
    failed ||= result.problems.length > 0
  }
  return failed
}

/** Minutes and seconds since the begin. */
export function timeOf(ms: number): string {
  const seconds = Math.floor(ms / 1_000)
  return `${String(Math.floor(seconds / 60)).padStart(2, '0')}:${String(seconds % 60).padStart(2, '0')}`
}

function describeFaults(faults: readonly FaultRecord[], failures: number): string {
  const what = faults.map(
    ({ kind, victim, beganAt, healedAt }) =>
      `${kind} ${victim} ${((healedAt - beganAt) / 1_000).toFixed(1)} s`,
  )
  const healedAt = Math.max(...faults.map((fault) => fault.healedAt))
  const recoveredAt = faults[0]?.recoveredAt
  const recovery =
    recoveredAt === undefined
      ? 'NOT RECOVERED'
      : `recovered ${((recoveredAt - healedAt) / 1_000).toFixed(1)} s later`
  const failed = failures === 0 ? '' : `, ${failures} requests failed`
  return `${timeOf(faults[0]?.beganAt ?? 0)}  ${what.join(' + ')}; ${recovery}${failed}`
}

function describeEpoch({ epoch, problems }: EpochResult): string {
  const { audit, equalAfterMs } = epoch
  const equal =
    equalAfterMs === undefined ? 'NOT EQUAL' : `equal ${Math.round(equalAfterMs)} ms after the last write`
  const lines = [
    `${timeOf(epoch.endedAt)}  audit: ${audit.acknowledged} writes acknowledged, ${audit.deletes} deletes, ${audit.twins} twins on record, ` +
      `${audit.conflicts} conflicts, regions ${equal}; ${problems.length} problems`,
    ...problems.map(({ check, text }) => `       ${check}: ${text}`),
  ]
  return lines.join('\n')
}
