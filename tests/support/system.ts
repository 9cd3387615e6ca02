/** The whole system for a test: started in a temporary folder on free ports, gone afterwards in any case. */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import type { Part } from '../../local/parts/part.ts'
import { createStack, type Link, type Stack } from '../../local/parts/stack.ts'
import { waitUntil } from '../../local/wait.ts'
import { tail } from '../../local/process.ts'
import { HttpClient, type Answer, type Request } from './http.ts'

export const regionNames = ['us', 'eu'] as const
export type RegionName = (typeof regionNames)[number]

const replicationTimeoutMs = 30_000
const logTailBytes = 2_000
/** For a pool that looks on from outside. */
export const databaseSettings = { max: 2, connectionTimeoutMillis: 5_000, statement_timeout: 30_000 }

export type System = {
  readonly stack: Stack
  /** State of all parts, one folder each. */
  readonly dir: string
  /** Directly at each region's database. */
  readonly databases: Readonly<Record<RegionName, pg.Pool>>
  /** A request through NGINX. */
  ask(path: string, request?: Request): Promise<Answer>
  /** A request at one backend, past NGINX. */
  askBackend(backend: Part & { url: string }, path: string, request?: Request): Promise<Answer>
  backend(region: RegionName, index?: number): Part & { url: string }
  /** Also prints the end of every log if `failed`. */
  stop(failed?: boolean): Promise<void>
}

export type SystemOptions = {
  readonly backendsPerRegion?: number
  /** Settings as in `.env`. */
  readonly env?: Readonly<Record<string, string>>
  /** What has to be done with the parts before the whole is started. */
  readonly prepare?: (stack: Stack) => Promise<void>
  /** Puts something into the way of backends: returns the port that leads to the link's. */
  readonly through?: (link: Link) => Promise<number>
}

/** Resolves when everything serves and each region has heard of the other. */
export async function startSystem({
  backendsPerRegion = 1,
  env,
  prepare,
  through,
}: SystemOptions = {}): Promise<System> {
  const dir = await mkdtemp(join(tmpdir(), 'meridian-system-'))
  const stack = await createStack({
    dir,
    backendsPerRegion,
    env: { LOG_LEVEL: 'warn', ...env },
    ...(through && { through }),
  })
  const http = new HttpClient()
  const pools: pg.Pool[] = []
  const databaseOf = (region: RegionName): pg.Pool => {
    const pool = new pg.Pool({ connectionString: urlOf(stack, region), ...databaseSettings })
    pool.on('error', () => {}) // tests kill the server under it
    pools.push(pool)
    return pool
  }
  const stop = async (failed = false): Promise<void> => {
    http.close()
    await Promise.all(pools.map((pool) => pool.end()))
    await stack.stop()
    if (failed) for (const part of stack.parts) printLog(part)
    await rm(dir, { recursive: true, force: true })
  }
  try {
    await prepare?.(stack)
    await stack.start()
  } catch (error) {
    await stop()
    throw error
  }
  const system: System = {
    stack,
    dir,
    databases: { us: databaseOf('us'), eu: databaseOf('eu') },
    ask: (path, request) => http.send(stack.url + path, request),
    askBackend: (backend, path, request) => http.send(backend.url + path, request),
    backend(region, index = 0) {
      const found = stack.backends[region]?.[index]
      if (!found) throw new Error(`no backend ${index} in ${region}`)
      return found
    },
    stop,
  }
  try {
    await waitForReplication(system)
  } catch (error) {
    await stop(true)
    throw error
  }
  return system
}

/** Makes everything run again, so that a test which failed in the middle of its fault leaves nothing to the next one. */
export async function revive({ parts }: Stack): Promise<void> {
  for (const part of parts) {
    if (part.pid === undefined) await part.start()
    else part.resume()
  }
}

/** A region is ready before Kafka is; its lag is null until the first heartbeat has come through. */
async function waitForReplication(system: System): Promise<void> {
  const isKnown = async (region: RegionName): Promise<boolean> => {
    const { body } = await system.askBackend(system.backend(region), `/${region}/replication-lag`)
    return typeof body['lag_seconds'] === 'number'
  }
  await waitUntil(async () => (await Promise.all(regionNames.map(isKnown))).every(Boolean), {
    timeoutMs: replicationTimeoutMs,
    what: 'the first heartbeats',
  })
}

function urlOf(stack: Stack, region: RegionName): string {
  const found = stack.postgres[region]
  if (!found) throw new Error(`no database in ${region}`)
  return found.url
}

/** NGINX's log is its access log: thousands of lines that say nothing here. */
function printLog(part: Part): void {
  if (part.name !== 'nginx') console.error(`--- ${part.name}\n${tail(part.logFile, logTailBytes)}`)
}
