/** A real NGINX in front of the backends, on the configuration that compose uses too. */
import { writeFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import { join } from 'node:path'
import { renderNginxConfig } from '../../nginx/render.ts'
import { freePort } from '../ports.ts'
import { ManagedProcess } from '../process.ts'
import { ensureTool, nginxTakesErrorLog } from '../tools.ts'
import type { Progress } from '../tools.ts'
import { makeFolder, unprivilegedOwner } from '../unprivileged.ts'
import { answers } from './http-probe.ts'
import type { Part } from './part.ts'

export type NginxOptions = {
  name: string
  dir: string
  port?: number
  portSetting?: string
  /** Region → `host:port` of its backends. */
  upstreams: Record<string, string[]>
  /** Listen address; loopback by default, `::` is every address of both families. */
  host?: string
  progress?: Progress
}

const startTimeoutMs = 10_000
const stopTimeoutMs = 9_000
const firstUnprivilegedPort = 1024

/** Creates the part; nothing runs before `start()`. */
export async function createNginx(options: NginxOptions): Promise<Part> {
  const { name, dir, upstreams, host = '127.0.0.1', progress = () => {} } = options
  const port = options.port ?? (await freePort())
  const owner = port < firstUnprivilegedPort ? undefined : unprivilegedOwner()
  const configuration = join(dir, 'nginx.conf')
  let binary = ''
  let errorLog: string[] = []
  return new ManagedProcess({
    name,
    dir,
    port,
    host,
    portSetting: options.portSetting,
    owner,
    prepare: async () => {
      binary = await ensureTool('nginx', progress)
      if (await nginxTakesErrorLog(binary)) errorLog = ['-e', 'stderr']
      makeFolder(dir, owner)
      const config = renderNginxConfig({
        listen: isIPv6(host) ? `[${host}]:${port} ipv6only=off` : `${host}:${port}`,
        upstreams,
        pidFile: join(dir, 'nginx.pid'),
        tempDir: dir,
        accessLog: '/dev/stdout',
        errorLog: 'stderr',
      })
      writeFileSync(configuration, config)
    },
    command: () => ({
      file: binary,
      args: ['-p', dir, ...errorLog, '-c', configuration, '-g', 'daemon off;'],
      env: { PATH: process.env['PATH'], LANG: 'C.UTF-8', TZ: 'UTC' },
    }),
    // Graceful: workers finish the requests that they have.
    stopSignal: 'SIGQUIT',
    stopTimeoutMs,
    startTimeoutMs,
    probe: () => answers(`http://127.0.0.1:${port}/nginx-health`),
  })
}
