/**
 * The settings of the local run: the environment wins over `.env`, and that over `.env.example`, whose values are
 * the defaults. The same two files configure compose.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { projectRoot } from './paths.ts'
import { freePort, isPortFree } from './ports.ts'
import { portBusy } from './process.ts'

export type Settings = {
  httpPort: number
  regions: string[]
  backendsPerRegion: number
  /** All variables, for the parts. */
  env: Record<string, string | undefined>
}

type PortPlan = { ports: Record<string, number>; portSettings: Record<string, string> }

const backendsPerRegionMax = 2
const firstPorts = { kafka: 9192, postgres: 5501, backend: 3001 }

/** Reads and checks the settings. */
export function readSettings(
  environment: Record<string, string | undefined> = process.env,
  folder = projectRoot,
): Settings {
  const env = {
    ...readEnvFile(join(folder, '.env.example')),
    ...readEnvFile(join(folder, '.env')),
    ...environment,
  }
  return {
    httpPort: integer(env, 'HTTP_PORT', 8080, 1, 65_535),
    regions: (env['REGIONS'] || 'us,eu').split(',').map((region) => region.trim()),
    backendsPerRegion: integer(env, 'BACKENDS_PER_REGION', 1, 1, backendsPerRegionMax),
    env,
  }
}

/**
 * A port for every part. Where no setting asks for a certain port, a busy default gives way to a free port; a port
 * that was asked for, and NGINX's, must be free.
 */
export async function planPorts({ httpPort, regions, backendsPerRegion, env }: Settings): Promise<PortPlan> {
  const ports: Record<string, number> = { nginx: httpPort }
  const portSettings: Record<string, string> = { nginx: 'HTTP_PORT' }
  const wanted: Array<[string, number]> = [['kafka', firstPorts.kafka]]
  for (const [index, region] of regions.entries()) {
    wanted.push([`postgres-${region}`, firstPorts.postgres + index])
    for (let number = 1; number <= backendsPerRegion; number++) {
      const name = number === 1 ? `backend-${region}` : `backend-${region}-${number}`
      wanted.push([name, firstPorts.backend + (number - 1) * regions.length + index])
    }
  }
  const asked = new Map<string, number>()
  for (const [name, standard] of wanted) {
    const setting = `${name.toUpperCase().replaceAll('-', '_')}_PORT`
    portSettings[name] = setting
    if (env[setting]) asked.set(name, integer(env, setting, standard, 1, 65_535))
  }
  const reserved = new Set([httpPort, ...asked.values()])
  for (const [name, standard] of wanted) {
    const port = asked.get(name)
    if (port !== undefined && !(await isPortFree(port))) throw portBusy(name, port, portSettings[name] ?? '')
    const isFree = !reserved.has(standard) && (await isPortFree(standard))
    ports[name] = port ?? (isFree ? standard : await freePort())
  }
  if (!(await isPortFree(httpPort))) throw portBusy('nginx', httpPort, 'HTTP_PORT')
  return { ports, portSettings }
}

function readEnvFile(file: string): NodeJS.Dict<string> {
  return existsSync(file) ? parseEnv(readFileSync(file, 'utf8')) : {}
}

function integer(
  env: Record<string, string | undefined>,
  name: string,
  fallback: number,
  min: number,
  max: number,
): number {
  const text = env[name]?.trim()
  if (!text) return fallback
  const value = Number(text)
  if (Number.isInteger(value) && value >= min && value <= max) return value
  throw new Error(`${name} must be an integer from ${min} to ${max}, not "${text}"`)
}
