/** Load from pgbench: what PostgreSQL does with the same write when nothing stands before it. */

import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findTool } from '../tools.ts'
import { constants, refusalStatement, writeStatement } from './statement.ts'

const execute = promisify(execFile)
const threads = 2
const endTimeoutMs = 60_000
const outputBytesMax = 10_000_000

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

/** Writes to distinct properties: each client owns its share and goes through it. */
export async function pgbenchWrites(options: PgbenchOptions): Promise<PgbenchResult> {
  const share = Math.floor(options.count / options.clients)
  return run(options, writesScript(), { share, next: 0, flip: 0 })
}

/** Writes to `hot` properties, each client to one; what a refusal shows is the next write's guard. */
export async function pgbenchHotWrites(
  options: Omit<PgbenchOptions, 'count'> & { readonly hot: number },
): Promise<PgbenchResult> {
  return run({ ...options, count: options.hot }, hotScript(), { hot: options.hot, version: 1, flip: 0 })
}

function writesScript(): string {
  return `
\\set id :first + :client_id + :next * :clients
\\set request random(1000000000000000000, 9223372036854775807)
\\if :flip
${writeStatement(1)};
\\else
${writeStatement(0)};
\\endif
\\set next :next + 1
\\if :next >= :share
\\set next 0
\\set flip 1 - :flip
\\endif
`
}

/** A write that gets no row back leaves `:version` as it was: it was refused. */
function hotScript(): string {
  return `
\\set id :first + mod(:client_id, :hot)
\\set request random(1000000000000000000, 9223372036854775807)
\\set before :version
\\set flip 1 - :flip
\\if :flip
${writeStatement(1, { guarded: true })} \\aset
\\else
${writeStatement(0, { guarded: true })} \\aset
\\endif
\\if :version = :before
${refusalStatement()} \\gset
\\endif
`
}

async function run(
  { dir, databaseUrl, actor, clients, until, first }: PgbenchOptions,
  script: string,
  variables: Readonly<Record<string, number>>,
): Promise<PgbenchResult> {
  const pgbench = await findTool('pgbench')
  const file = join(dir, `pgbench-${++runs}.sql`)
  await writeFile(file, script)
  const defined = Object.entries({ ...constants(actor), first, clients, ...variables })
  const length = 'seconds' in until ? ['-T', Math.max(1, Math.round(until.seconds))] : ['-t', until.perClient]
  const jobs = Math.min(threads, clients)
  const options = ['-n', '-M', 'prepared', '-c', clients, '-j', jobs, ...length, '-f', file]
  const definitions = defined.flatMap(([name, value]) => ['-D', `${name}=${value}`])
  const { stdout, stderr } = await execute(pgbench, [...options.map(String), ...definitions, databaseUrl], {
    env: { PATH: process.env['PATH'], LANG: 'C.UTF-8' },
    ...('seconds' in until && { timeout: until.seconds * 1_000 + endTimeoutMs }),
    maxBuffer: outputBytesMax,
  })
  if (/aborted|error/i.test(stderr)) throw new Error(`pgbench failed:\n${stderr}`)
  return parsePgbench(stdout)
}

/** @throws if a figure is missing, or clients have failed. */
export function parsePgbench(output: string): PgbenchResult {
  const figure = (pattern: RegExp): number => {
    const text = pattern.exec(output)?.[1]
    if (text === undefined) throw new Error(`pgbench said something else:\n${output}`)
    return Number(text)
  }
  const failed = /number of failed transactions: ([1-9]\d*)/.exec(output)
  if (failed) throw new Error(`${failed[1]} transactions of pgbench failed`)
  return {
    transactions: figure(/number of transactions actually processed: (\d+)/),
    perSecond: figure(/^tps = ([\d.]+)/m),
    averageMs: figure(/latency average = ([\d.]+) ms/),
  }
}
