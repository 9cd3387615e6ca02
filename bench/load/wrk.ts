/** Load from wrk: a process of its own that costs a small part of what the backend does. */

import { randomInt } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runTool, threadsFor, wholeSeconds } from '../tools.ts'

/** Requests that may be refused because the machine is overloaded; more, and the figure says nothing. */
export const failedShareMax = 0.05

export type WrkOptions = {
  /** Folder for what goes in and out of wrk. */
  readonly dir: string
  readonly url: string
  readonly connections: number
  readonly seconds: number
}

export type PutOptions = WrkOptions & {
  /** Ids from `first` on. */
  readonly first: number
  readonly count: number
  /** Versions of those that are not at 1. */
  readonly versions: ReadonlyMap<number, number>
  /** All connections write to this many of the properties; each has its own ones if absent. */
  readonly hot?: number
  /** In an order that no cache foresees; one after the other if absent. */
  readonly random?: boolean
  /** Mean pause of a connection between an answer and the next request. */
  readonly pauseMs?: number
}

export type PutResult = {
  readonly sent: number
  /** 200. */
  readonly ok: number
  /** 409. */
  readonly refused: number
  /**
   * 429 and 503, after which the write may have been accepted nevertheless, and 422 for a success of its own, which
   * NGINX's second try has found.
   */
  readonly busy: number
  /** Any other answer. */
  readonly other: number
  /** 200 with another version than the one after the client's. */
  readonly wrong: number
  /** Of the network, and answers later than two seconds. */
  readonly errors: number
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Property and number of writes. */
  readonly acknowledged: ReadonlyArray<readonly [id: number, count: number]>
}

export type GetResult = Pick<PutResult, 'ok' | 'errors' | 'seconds' | 'p50Ms' | 'p99Ms'>

let runs = 0

export async function wrkPut(options: PutOptions): Promise<PutResult> {
  const { first, count, hot, pauseMs, versions, random } = options
  const known = [...versions].map(([id, version]) => `[${id}]=${version}`).join(',')
  const further = { first, count, hot, pauseMs, random: String(random === true), versions: `{${known}}` }
  return (await run('put.lua', options, further)) as PutResult
}

/** Of loads that ran at the same time on different properties. Latencies are those of the slowest. Pure. */
export function joinResults(results: readonly PutResult[]): PutResult {
  const total = (of: (result: PutResult) => number): number =>
    results.reduce((sum, result) => sum + of(result), 0)
  const greatest = (of: (result: PutResult) => number): number => Math.max(...results.map(of))
  return {
    sent: total(({ sent }) => sent),
    ok: total(({ ok }) => ok),
    refused: total(({ refused }) => refused),
    busy: total(({ busy }) => busy),
    other: total(({ other }) => other),
    wrong: total(({ wrong }) => wrong),
    errors: total(({ errors }) => errors),
    seconds: greatest(({ seconds }) => seconds),
    p50Ms: greatest(({ p50Ms }) => p50Ms),
    p99Ms: greatest(({ p99Ms }) => p99Ms),
    acknowledged: results.flatMap(({ acknowledged }) => acknowledged),
  }
}

/** Reads the properties from `first` on, or one path. */
export async function wrkGet(
  options: WrkOptions & ({ readonly first: number; readonly count: number } | { readonly path: string }),
): Promise<GetResult> {
  const what =
    'path' in options
      ? { path: JSON.stringify(options.path) }
      : { first: options.first, count: options.count }
  const result = (await run('get.lua', options, what)) as GetResult
  if (result.errors > result.ok * failedShareMax) {
    throw new Error(`${result.errors} reads failed, ${result.ok} did not`)
  }
  return result
}

async function run(
  script: string,
  { dir, url, connections, seconds }: WrkOptions,
  further: Readonly<Record<string, number | string | undefined>>,
): Promise<unknown> {
  const threads = threadsFor(connections)
  const name = join(dir, `wrk-${++runs}`)
  const result = `${name}.json`
  const seed = randomInt(2 ** 32)
  const settings = { threads, connections, seed, result: JSON.stringify(result), ...further }
  await writeFile(`${name}.lua`, luaTable(settings))
  const counts = [`-t${threads}`, `-c${connections}`, `-d${wholeSeconds(seconds)}s`]
  const env = { ...process.env, BENCH_SETTINGS: `${name}.lua` }
  const scripted = ['--latency', '-s', join(import.meta.dirname, script), url]
  await runTool('wrk', [...counts, ...scripted], { env, seconds })
  return JSON.parse(await readFile(result, 'utf8'))
}

/** A Lua file that returns a table; strings are Lua text already. */
export function luaTable(settings: Readonly<Record<string, number | string | undefined>>): string {
  const members = Object.entries(settings)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key} = ${value}`)
  return `return { ${members.join(', ')} }\n`
}
