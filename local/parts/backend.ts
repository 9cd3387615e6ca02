/** A backend process of one region. */
import { join } from 'node:path'
import { projectRoot } from '../paths.ts'
import { freePort } from '../ports.ts'
import { ManagedProcess } from '../process.ts'
import { answers } from './http-probe.ts'
import type { Part } from './part.ts'

export type BackendOptions = {
  name: string
  dir: string
  region: string
  port?: number
  portSetting?: string
  databaseUrl: string
  brokers: string
  /** Further settings of the backend, e.g. LOG_LEVEL. */
  env?: Record<string, string | undefined>
}

const host = '127.0.0.1'
const startTimeoutMs = 60_000
const stopTimeoutMs = 10_000

/** As in backend/Dockerfile, which says why. */
export const memoryFlags = ['--max-semi-space-size=16', '--max-old-space-size=384']
export const memoryEnvironment = { MALLOC_ARENA_MAX: '2', MALLOC_MMAP_THRESHOLD_: '131072' }

/** Creates the part; nothing runs before `start()`. */
export async function createBackend(options: BackendOptions): Promise<Part & { url: string }> {
  const { name, dir, region, databaseUrl, brokers, env = {} } = options
  const port = options.port ?? (await freePort())
  const url = `http://${host}:${port}`
  const entry = join(projectRoot, 'backend/src/main.ts')
  const part = new ManagedProcess({
    name,
    dir,
    port,
    host,
    portSetting: options.portSetting,
    command: () => ({
      file: process.execPath,
      args: [...memoryFlags, entry],
      env: {
        ...callerEnvironment(),
        ...env,
        ...memoryEnvironment,
        REGION: region,
        HOST: host,
        PORT: String(port),
        DATABASE_URL: databaseUrl,
        KAFKA_BROKERS: brokers,
      },
    }),
    stopSignal: 'SIGTERM',
    stopTimeoutMs,
    startTimeoutMs,
    probe: () => answers(`${url}/ready`),
  })
  return Object.assign(part, { url })
}

/** The caller's environment without what would reach into the backend unseen: npm's, node:test's and libpq's variables. */
function callerEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([key]) => !/^(npm_|NODE_TEST_|NODE_V8_|PG)/.test(key))
  return Object.fromEntries(kept)
}
