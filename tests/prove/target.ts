/** A running system, as far as faults, load and checks have to do with it; and the local one, with proxies in its paths. */

import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import type pg from 'pg'
import { freePort } from '../../local/ports.ts'
import type { RegionName } from '../support/system.ts'
import { regionNames, revive, startSystem } from '../support/system.ts'
import { TcpProxy } from './tcp-proxy.ts'

export type Controls = {
  start(): Promise<void>
  /** In order, as an operator does. */
  stop(): Promise<void>
  kill(): Promise<void>
  pause(): void | Promise<void>
  resume(): void | Promise<void>
}

export type Backend = { readonly name: string; readonly region: string; readonly url: string }

export type Target = {
  /** NGINX's address. */
  readonly url: string
  readonly backends: readonly Backend[]
  readonly databases: Readonly<Record<RegionName, pg.Pool>>
  /** Connection strings, for those who need connections with other bounds. */
  readonly databaseUrls: Readonly<Record<RegionName, string>>
  readonly parts: ReadonlyMap<string, Controls>
  readonly links: ReadonlyMap<string, TcpProxy>
  /** Whatever was done to it is undone. */
  revive(): Promise<void>
  /** Copies every part's log into a folder. */
  keepLogs(folder: string): Promise<void>
  stop(): Promise<void>
}

/** Starts the system on free ports; each backend reaches its database, and each region Kafka, through a proxy. */
export async function startLocalTarget(backendsPerRegion: number): Promise<Target> {
  const links = new Map<string, TcpProxy>()
  const closeLinks = async (): Promise<void> => {
    await Promise.all([...links.values()].map((link) => link.close()))
  }
  const through = async ({ name, port }: { name: string; port: number }): Promise<number> => {
    const own = await freePort()
    links.set(name, await TcpProxy.open(port, own))
    return own
  }
  const system = await startSystem({ backendsPerRegion, through }).catch(async (error: unknown) => {
    await closeLinks()
    throw error
  })
  const { stack } = system
  return {
    url: stack.url,
    backends: regionNames.flatMap((region) =>
      (stack.backends[region] ?? []).map(({ name, url }) => ({ name, region, url })),
    ),
    databases: system.databases,
    databaseUrls: { us: stack.postgres['us']?.url ?? '', eu: stack.postgres['eu']?.url ?? '' },
    parts: new Map(stack.parts.map((part) => [part.name, part])),
    links,
    async revive() {
      for (const link of links.values()) link.set('open')
      await revive(stack)
    },
    async keepLogs(folder) {
      for (const { name, logFile } of stack.parts) await copyFile(logFile, join(folder, `${name}.log`))
    },
    async stop() {
      await system.stop()
      await closeLinks()
    },
  }
}
