/**
 * The whole system: per region a PostgreSQL and one or more backends, Kafka, and NGINX in front. What does not
 * need each other starts at the same time; a backend waits for its own database alone, because a region must
 * come up without Kafka and without the other region.
 */
import { join } from 'node:path'
import type { Progress } from '../tools.ts'
import { createBackend } from './backend.ts'
import { freePort } from '../ports.ts'
import { createKafka } from './kafka.ts'
import type { KafkaListener } from './kafka.ts'
import { createNginx } from './nginx.ts'
import type { Part } from './part.ts'
import { createPostgres } from './postgres.ts'

export type StackOptions = {
  /** State of all parts, one folder each. */
  dir: string
  /** By part name, e.g. `{ nginx: 8080, 'postgres-us': 5501 }`; free ports for the others. */
  ports?: Record<string, number>
  /** Setting that moves a part's port, by part name, for error messages. */
  portSettings?: Record<string, string>
  /** Settings as in `.env`, for the databases and the backends. */
  env?: Record<string, string | undefined>
  regions?: string[]
  backendsPerRegion?: number
  /** NGINX's listen address. */
  host?: string
  supervise?: (part: Part) => LifeCycle
  /** Puts something into the way of backends: returns the port that leads to the link's. */
  through?: (link: Link) => Promise<number>
  /** Told what had to be fetched or installed first. */
  progress?: Progress
}

/** A connection that backends make: a region's to Kafka, or one backend's to its database. */
export type Link = { name: string; to: 'kafka' | 'postgres'; region: string; port: number }

export type Stack = {
  postgres: Record<string, Part & { url: string }>
  kafka: Part & { brokers: string }
  backends: Record<string, Array<Part & { url: string }>>
  nginx: Part
  /** NGINX's address, without a slash at the end. */
  url: string
  /** All of them, in the order in which they are stopped. */
  parts: Part[]
  start(): Promise<void>
  stop(): Promise<void>
}

/** How a part is started and stopped when a caller reports or supervises that. */
export type LifeCycle = Pick<Part, 'start' | 'stop'>

/** Bounds whose sum stays below the ten seconds in which the whole system has to stop. */
const stopTimeoutsMs = { nginx: 1_500, backends: 3_500, kafka: 2_500, postgres: 1_500 }

/** Creates all parts; nothing runs before `start()`. */
export async function createStack(options: StackOptions): Promise<Stack> {
  const {
    dir,
    ports = {},
    portSettings = {},
    env = {},
    regions = ['us', 'eu'],
    backendsPerRegion = 1,
  } = options
  const progress = options.progress ?? (() => {})
  const common = (name: string) => ({
    name,
    dir: join(dir, name),
    ...(ports[name] !== undefined && { port: ports[name] }),
    ...(portSettings[name] !== undefined && { portSetting: portSettings[name] }),
  })
  const postgres: Stack['postgres'] = {}
  const backends: Stack['backends'] = {}
  const { through } = options
  const listeners = through ? await listenersThrough(through, regions) : []
  const kafka = await createKafka({ ...common('kafka'), progress, listeners })
  for (const region of regions) {
    const database = await createPostgres({ ...common(`postgres-${region}`), env })
    const own: Array<Part & { url: string }> = []
    for (let number = 1; number <= backendsPerRegion; number++) {
      const name = number === 1 ? `backend-${region}` : `backend-${region}-${number}`
      const listener = listeners.find((one) => one.name === region.toUpperCase())
      const settings = {
        databaseUrl: await databaseUrlThrough(through, { name, region, url: database.url }),
        brokers: listener ? `127.0.0.1:${listener.advertisedPort}` : kafka.brokers,
        env: { REGIONS: regions.join(','), ...env },
      }
      own.push(await createBackend({ ...common(name), region, ...settings }))
    }
    postgres[region] = database
    backends[region] = own
  }
  const upstreams = Object.fromEntries(
    Object.entries(backends).map(([region, own]) => [
      region,
      own.map((backend) => `127.0.0.1:${backend.port}`),
    ]),
  )
  const host = options.host === undefined ? {} : { host: options.host }
  const nginx = await createNginx({ ...common('nginx'), upstreams, progress, ...host })
  const phases = [
    { parts: [nginx], timeoutMs: stopTimeoutsMs.nginx },
    { parts: Object.values(backends).flat(), timeoutMs: stopTimeoutsMs.backends },
    { parts: [kafka], timeoutMs: stopTimeoutsMs.kafka },
    { parts: Object.values(postgres), timeoutMs: stopTimeoutsMs.postgres },
  ]
  const parts = phases.flatMap((phase): Part[] => phase.parts)
  const { supervise = (one: Part): LifeCycle => one } = options
  const lifeCycles = new Map(parts.map((one) => [one, supervise(one)]))
  let stopping = false
  const stop = async (): Promise<void> => {
    stopping = true
    for (const phase of phases) {
      await Promise.all(phase.parts.map(async (one) => lifeCycles.get(one)?.stop(phase.timeoutMs)))
    }
  }
  const startOne = async (one: Part): Promise<void> => {
    if (!stopping) await lifeCycles.get(one)?.start()
  }
  const startRegion = async (region: string): Promise<void> => {
    await startOne(inRegion(postgres, region))
    await Promise.all(inRegion(backends, region).map(startOne))
  }
  const start = async (): Promise<void> => {
    stopping = false
    const starts = [startOne(nginx), startOne(kafka), ...regions.map(startRegion)]
    try {
      await Promise.all(starts)
    } catch (error) {
      await stop()
      await Promise.allSettled(starts)
      throw error
    }
  }
  return { postgres, kafka, backends, nginx, url: `http://127.0.0.1:${nginx.port}`, parts, start, stop }
}

async function listenersThrough(
  through: NonNullable<StackOptions['through']>,
  regions: readonly string[],
): Promise<KafkaListener[]> {
  const listeners: KafkaListener[] = []
  for (const region of regions) {
    const port = await freePort()
    const advertisedPort = await through({ name: `${region}–kafka`, to: 'kafka', region, port })
    listeners.push({ name: region.toUpperCase(), port, advertisedPort })
  }
  return listeners
}

async function databaseUrlThrough(
  through: StackOptions['through'],
  { name, region, url }: { name: string; region: string; url: string },
): Promise<string> {
  if (!through) return url
  const led = new URL(url)
  const link = { name: `${name}–postgres`, to: 'postgres', region, port: Number(led.port) } as const
  led.port = String(await through(link))
  return led.href
}

function inRegion<T>(parts: Record<string, T>, region: string): T {
  const found = parts[region]
  if (!found) throw new Error(`Unknown region: ${region}`)
  return found
}
