/**
 * `--profile`: where the time goes while a figure is measured, in each region's first backend by V8's sampling profiler,
 * in PostgreSQL by pg_stat_statements.
 */

import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { projectRoot } from '../local/paths.ts'
import { regionNames, type Bed, type BedOptions } from './bed.ts'

const top = 10
const statementLengthMax = 100

/** The parts of a `.cpuprofile` that matter here; times are in µs. */
export type CpuProfile = {
  readonly nodes: ReadonlyArray<{
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }>
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

export type SelfTime = { readonly name: string; readonly ms: number; readonly share: number }

/** What V8 counts while nothing runs. */
const idle = new Set(['(idle)', '(root)'])

/** Time of each function itself, without those that it calls; shares are of the time that was not idle. Pure. */
export function selfTimes({ nodes, samples, timeDeltas }: CpuProfile): SelfTime[] {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]))
  const times = new Map<string, number>()
  for (const [index, id] of samples.entries()) {
    const name = names.get(id) ?? ''
    if (!idle.has(name)) times.set(name, (times.get(name) ?? 0) + (timeDeltas[index] ?? 0) / 1_000)
  }
  const total = [...times.values()].reduce((sum, ms) => sum + ms, 0)
  return [...times].map(([name, ms]) => ({ name, ms, share: ms / total })).toSorted((a, b) => b.ms - a.ms)
}

function nameOf({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): string {
  const name = functionName || '(anonymous)'
  if (url === '') return name
  const path = url.startsWith('file:') ? relative(projectRoot, fileURLToPath(url)) : url
  return `${name} ${path}:${lineNumber + 1}`
}

export type Profiler = {
  readonly bedOptions: BedOptions
  /** PostgreSQL's part, while the bed still runs. */
  readonly beforeStop: (bed: Bed) => Promise<void>
  /** The backend's part, once its process has written its profile. */
  readonly finish: () => Promise<string>
}

export async function createProfiler(): Promise<Profiler> {
  const dir = await mkdtemp(join(tmpdir(), 'meridian-profile-'))
  const sections: string[] = []
  const backends = new Map<number, string>()
  return {
    bedOptions: {
      env: { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${dir}` },
      postgresSettings: { shared_preload_libraries: "'pg_stat_statements'" },
    },
    async beforeStop(bed) {
      for (const region of regionNames) {
        const { name, pid } = bed.backend(region)
        if (pid !== undefined) backends.set(pid, name)
      }
      sections.push(await topStatements(bed))
    },
    async finish() {
      try {
        return [...(await topFunctions(dir, backends)), ...sections].join('\n\n')
      } finally {
        await rm(dir, { recursive: true, force: true })
      }
    },
  }
}

/** A section for each of the backends; V8 names its files after the process. */
async function topFunctions(dir: string, backends: ReadonlyMap<number, string>): Promise<string[]> {
  const sections: string[] = []
  for (const file of await readdir(dir)) {
    const name = backends.get(Number(file.split('.')[3]))
    if (name === undefined) continue
    const times = selfTimes(JSON.parse(await readFile(join(dir, file), 'utf8')) as CpuProfile)
    const lines = times
      .slice(0, top)
      .map(
        ({ name: where, ms, share }) =>
          `${(100 * share).toFixed(1).padStart(6)} % ${ms.toFixed(0).padStart(8)} ms  ${where}`,
      )
    sections.push([`${name}, self time:`, ...lines].join('\n'))
  }
  return sections
}

async function topStatements(bed: Bed): Promise<string> {
  const database = bed.database('us')
  await database.query('CREATE EXTENSION IF NOT EXISTS pg_stat_statements')
  const { rows } = await database.query<{ calls: number; total: number; mean: number; query: string }>(
    `SELECT calls::float8 AS calls, total_exec_time AS total, mean_exec_time AS mean, query
     FROM pg_stat_statements ORDER BY total_exec_time DESC LIMIT ${top}`,
  )
  const lines = rows.map(({ calls, total, mean, query }) => {
    const text = query.replaceAll(/\s+/g, ' ').trim().slice(0, statementLengthMax)
    return `${total.toFixed(0).padStart(8)} ms ${String(calls).padStart(8)} × ${mean.toFixed(3).padStart(8)} ms  ${text}`
  })
  return ['PostgreSQL of the first region, time in statements (the anchor takes part):', ...lines].join('\n')
}
