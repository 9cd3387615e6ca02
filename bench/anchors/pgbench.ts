/** Load from pgbench: what PostgreSQL does with the same write when nothing stands before it. */

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runTool, threadsFor, wholeSeconds } from '../tools.ts'
import { constants, refusalStatement, writeStatement } from './statement.ts'

/** Not counted: every client prepares its statements then, and PostgreSQL plans them a few times. */
const firstSeconds = 1

export type PgbenchOptions = {
  readonly dir: string
  readonly databaseUrl: string
  readonly actor: string
  readonly clients: number
  /** For how long, or how many statements each client runs. */
  readonly until: { readonly seconds: number } | { readonly perClient: number }
  /** Ids from `first` on. */
  readonly first: number
  readonly count: number
}

export type PgbenchResult = {
  readonly transactions: number
  readonly perSecond: number
  readonly averageMs: number
}

let runs = 0

const values = `
\\set request random(1000000000000000000, 9223372036854775807)
\\set price random(100000, 9999999)`

/** Writes to distinct properties: each client owns its share and goes through it. */
export async function pgbenchWrites(options: PgbenchOptions): Promise<PgbenchResult> {
  const share = Math.floor(options.count / options.clients)
  return run(options, writesScript, { share, next: 0 })
}

/** Writes to `hot` properties, each client to one; what a refusal shows is the next write's guard. */
export async function pgbenchHotWrites(
  options: Omit<PgbenchOptions, 'count'> & { readonly hot: number },
): Promise<PgbenchResult> {
  return run({ ...options, count: options.hot }, hotScript, { hot: options.hot, version: 1 })
}

const writesScript = `
\\set id :first + :client_id + :next * :clients
${values}
${writeStatement()};
\\set next mod(:next + 1, :share)
`

/** A write that gets no row back leaves `:version` as it was: it was refused. */
const hotScript = `
\\set id :first + mod(:client_id, :hot)
${values}
\\set before :version
${writeStatement({ guarded: true })} \\aset
\\if :version = :before
${refusalStatement()} \\gset
\\endif
`

async function run(
  { dir, databaseUrl, actor, clients, until, first }: PgbenchOptions,
  script: string,
  variables: Readonly<Record<string, number>>,
): Promise<PgbenchResult> {
  const file = join(dir, `pgbench-${++runs}.sql`)
  await writeFile(file, script)
  const defined = Object.entries({ ...constants(actor), first, clients, ...variables })
  const seconds = 'seconds' in until ? wholeSeconds(until.seconds) + firstSeconds : undefined
  const length = 'perClient' in until ? ['-t', until.perClient] : ['-T', seconds ?? 0]
  const counts = ['-c', clients, '-j', threadsFor(clients), ...length]
  const definitions = defined.flatMap(([name, value]) => ['-D', `${name}=${value}`])
  const { stdout, stderr } = await runTool(
    'pgbench',
    ['-n', '-P', 1, '-M', 'prepared', ...counts, '-f', file, ...definitions, databaseUrl],
    { env: { PATH: process.env['PATH'], LANG: 'C.UTF-8' }, seconds },
  )
  if (/aborted|error/i.test(stderr)) throw new Error(`pgbench failed:\n${stderr}`)
  return parsePgbench(stdout, stderr)
}

/**
 * Rate and latency come from the progress that is told every second, without the first one.
 *
 * @throws if a figure is missing, or clients have failed.
 */
export function parsePgbench(output: string, progress: string): PgbenchResult {
  const processed = /number of transactions actually processed: (\d+)/.exec(output)?.[1]
  if (processed === undefined) throw new Error(`pgbench said something else:\n${output}`)
  const failed = /number of failed transactions: ([1-9]\d*)/.exec(output)
  if (failed) throw new Error(`${failed[1]} transactions of pgbench failed`)
  const seconds = [...progress.matchAll(/^progress: ([\d.]+) s, ([\d.]+) tps, lat ([\d.]+) ms/gm)]
    .map(([, at, tps, latency]) => ({ at: Number(at), tps: Number(tps), latency: Number(latency) }))
    .filter(({ at }) => at > firstSeconds + 0.5)
  const total = seconds.reduce((sum, { tps }) => sum + tps, 0)
  return {
    transactions: Number(processed),
    perSecond: total / seconds.length,
    averageMs: seconds.reduce((sum, { tps, latency }) => sum + tps * latency, 0) / total,
  }
}
