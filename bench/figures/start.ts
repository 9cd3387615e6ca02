/** `npm start` on an installed clone without data, until NGINX hands over the first 200 of each region. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { projectRoot } from '../../local/paths.ts'
import { answers } from '../../local/parts/http-probe.ts'
import { freePort } from '../../local/ports.ts'
import { waitUntil } from '../../local/wait.ts'
import { regionNames } from '../bed.ts'
import type { Context, Figure, Row } from '../figure.ts'

const startTimeoutMs = 60_000
const probeIntervalMs = 20

async function secondsToFirstAnswer(): Promise<number> {
  const state = await mkdtemp(join(tmpdir(), 'meridian-start-'))
  const port = await freePort()
  const began = performance.now()
  const child = spawn(process.execPath, ['local/launch.js', 'start'], {
    cwd: projectRoot,
    // As under npm: it ends with its parent, however that ends.
    env: { ...process.env, npm_lifecycle_event: 'start', MERIDIAN_STATE: state, HTTP_PORT: String(port) },
    stdio: 'ignore',
  })
  const exited = once(child, 'exit')
  const serves = async (): Promise<boolean> => {
    if (child.exitCode !== null) throw new Error('npm start ended')
    const healths = regionNames.map((region) => answers(`http://127.0.0.1:${port}/${region}/health`))
    return (await Promise.all(healths)).every(Boolean)
  }
  try {
    await waitUntil(serves, { timeoutMs: startTimeoutMs, intervalMs: probeIntervalMs, what: 'the first 200' })
    return (performance.now() - began) / 1_000
  } finally {
    child.kill('SIGTERM')
    await exited
    await rm(state, { recursive: true, force: true })
  }
}

async function run(context: Context): Promise<readonly Row[]> {
  const values: number[] = []
  const rounds = context.size === 'quick' ? 1 : context.rounds
  for (let round = 0; round < rounds; round++) values.push(await secondsToFirstAnswer())
  return [
    {
      title: '`npm start` to the first 200 of both regions (installed, no data)',
      unit: 's',
      values,
      goal: { atMost: 10 },
    },
  ]
}

export const start: Figure = { name: 'start', beds: [], run }
