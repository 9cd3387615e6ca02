/** For the tests of the local run: scratch folders, a small real server as a part, and who still works where. */
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { answers } from './parts/http-probe.ts'
import { freePort } from './ports.ts'
import { ManagedProcess } from './process.ts'
import { listProcesses, workingFolder } from './process-table.ts'
import type { ProcessInfo } from './process-table.ts'

/** A server with a child process, as real parts have them. */
const serverSource = `
  import { spawn } from 'node:child_process'
  import { createServer } from 'node:http'
  spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
  createServer((request, response) => response.end('here')).listen(Number(process.argv[2]), '127.0.0.1')
  console.log('listening')
`

/** A folder that is removed after the test. */
export function scratchFolder(t: TestContext): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'meridian-local-')))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** The living processes that work in `folder` or below it. */
export function processesIn(folder: string): ProcessInfo[] {
  return listProcesses().filter((info) => {
    const where = workingFolder(info.pid)
    return where === folder || where?.startsWith(`${folder}/`) === true
  })
}

/** A part that is a small HTTP server; `source` replaces what it runs. */
export async function smallPart(
  dir: string,
  source = serverSource,
  startTimeoutMs = 10_000,
): Promise<ManagedProcess> {
  const port = await freePort()
  const script = join(dir, 'server.mjs')
  writeFileSync(script, source)
  return new ManagedProcess({
    name: 'small',
    dir,
    port,
    host: '127.0.0.1',
    portSetting: 'SMALL_PORT',
    command: () => ({ file: process.execPath, args: [script, String(port)], env: process.env }),
    stopSignal: 'SIGTERM',
    stopTimeoutMs: 500,
    startTimeoutMs,
    probe: () => answers(`http://127.0.0.1:${port}/`),
  })
}
