/**
 * The running compose project as a target. It is broken with `docker kill`, `pause`, `stop` and `start`, and left
 * running at the end.
 *
 * Only NGINX is published, and a container that starts again may get another address. So databases and backends are
 * reached through proxies with lasting ports, which look the address up; nothing is broken in those. Needs an engine
 * whose containers can be reached from here, as on Linux.
 */

import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { freePort } from '../../local/ports.ts'
import { databaseSettings, regionNames, type RegionName } from '../support/system.ts'
import type { Controls, Target } from './target.ts'
import { TcpProxy } from './tcp-proxy.ts'

/** Container by part. */
const always = {
  nginx: 'nginx_proxy',
  kafka: 'kafka',
  'db-us': 'db-us',
  'db-eu': 'db-eu',
  'backend-us': 'backend-us',
  'backend-eu': 'backend-eu',
}
const second = { 'backend-us-2': 'backend-us-2', 'backend-eu-2': 'backend-eu-2' }
const backendPort = 3_000
const databasePort = 5_432
const logBytesMax = 500_000_000

type Container = {
  readonly State: { readonly Running: boolean; readonly Paused: boolean }
  readonly Config: { readonly Env: readonly string[] }
  readonly NetworkSettings: {
    readonly Networks: Readonly<Record<string, { readonly IPAddress: string }>>
    readonly Ports: Readonly<Record<string, readonly { readonly HostPort: string }[] | null>>
  }
}

async function docker(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('docker', args)
  return stdout.trim()
}

async function inspect(container: string): Promise<Container> {
  const [found] = JSON.parse(await docker('inspect', container)) as [Container]
  return found
}

/** Takes over what `docker-compose up` has started. @throws if parts of it do not run. */
export async function takeOverCompose(): Promise<Target> {
  const running = (await docker('ps', '--format', '{{.Names}}')).split('\n')
  const missing = Object.values(always).filter((name) => !running.includes(name))
  if (missing.length > 0) throw new Error(`these containers do not run: ${missing.join(', ')}`)
  const withSecond = Object.values(second).every((name) => running.includes(name))
  const containers = new Map(Object.entries(withSecond ? { ...always, ...second } : always))
  const proxies: TcpProxy[] = []
  const reach = async (container: string, containerPort: number): Promise<number> => {
    const port = await freePort()
    proxies.push(await TcpProxy.open(async () => addressOf(container, containerPort), port))
    return port
  }
  const databaseUrls = {
    us: await databaseUrl('db-us', await reach('db-us', databasePort)),
    eu: await databaseUrl('db-eu', await reach('db-eu', databasePort)),
  }
  const databases = { us: poolOf(databaseUrls.us), eu: poolOf(databaseUrls.eu) }
  const backends: Target['backends'][number][] = []
  for (const name of containers.keys()) {
    const region = regionNames.find((one) => name.startsWith(`backend-${one}`))
    if (region === undefined) continue
    backends.push({ name, region, url: `http://127.0.0.1:${await reach(name, backendPort)}` })
  }
  const published = (await inspect(always.nginx)).NetworkSettings.Ports['8080/tcp']?.[0]?.HostPort
  if (published === undefined) throw new Error('NGINX is not published')
  return {
    url: `http://127.0.0.1:${published}`,
    backends,
    databases,
    databaseUrls,
    parts: new Map([...containers].map(([name, container]) => [name, controlsOf(container)])),
    links: new Map(),
    async revive() {
      await Promise.all([...containers.values()].map(reviveOne))
    },
    async keepLogs(folder) {
      for (const [name, container] of containers) {
        const { stdout, stderr } = await promisify(execFile)('docker', ['logs', container], {
          maxBuffer: logBytesMax,
        })
        await writeFile(join(folder, `${name}.log`), stdout + stderr)
      }
    },
    async stop() {
      await Promise.all(Object.values(databases).map((pool) => pool.end()))
      await Promise.all(proxies.map((proxy) => proxy.close()))
    },
  }
}

function controlsOf(container: string): Controls {
  const command = (name: string) => async (): Promise<void> => {
    await docker(name, container)
  }
  return {
    kill: command('kill'),
    start: command('start'),
    stop: command('stop'),
    pause: command('pause'),
    resume: command('unpause'),
  }
}

async function reviveOne(container: string): Promise<void> {
  const { State } = await inspect(container)
  if (State.Paused) await docker('unpause', container)
  else if (!State.Running) await docker('start', container)
}

async function addressOf(container: string, port: number): Promise<{ host: string; port: number }> {
  const { NetworkSettings } = await inspect(container)
  const host = Object.values(NetworkSettings.Networks)
    .map(({ IPAddress }) => IPAddress)
    .find((address) => address !== '')
  if (host === undefined) throw new Error(`${container} has no address`)
  return { host, port }
}

async function databaseUrl(container: string, port: number): Promise<string> {
  const { Config } = await inspect(container)
  const setting = (name: string): string =>
    encodeURIComponent(Config.Env.find((line) => line.startsWith(`${name}=`))?.slice(name.length + 1) ?? '')
  return `postgres://${setting('POSTGRES_USER')}:${setting('POSTGRES_PASSWORD')}@127.0.0.1:${port}/${setting('POSTGRES_DB')}`
}

function poolOf(connectionString: string): Target['databases'][RegionName] {
  const pool = new pg.Pool({ connectionString, ...databaseSettings })
  pool.on('error', () => {}) // the server is killed under it
  return pool
}
