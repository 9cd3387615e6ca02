/** `npm start` and `npm run local` as a user meets them: through the launcher, on a state folder of their own. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { projectRoot } from './paths.ts'
import { readPidFile } from './pid-file.ts'
import { freePort } from './ports.ts'
import { processesIn } from './test-support.ts'
import { waitUntil } from './wait.ts'

const startTimeoutMs = 30_000
const stopTimeoutMs = 10_000

const state = realpathSync(mkdtempSync(join(tmpdir(), 'meridian-start-')))
const parts = join(state, 'parts')
let environment: NodeJS.ProcessEnv
let url: string
let runner: Run

type Run = { child: ChildProcess; output: () => string }

before(async () => {
  const port = await freePort()
  url = `http://127.0.0.1:${port}`
  environment = {
    ...process.env,
    MERIDIAN_STATE: state,
    HTTP_PORT: String(port),
    POSTGRES_FSYNC: 'off',
    LOG_LEVEL: 'warn',
  }
  runner = await start()
})

after(async () => {
  await stop(runner)
  rmSync(state, { recursive: true, force: true })
})

test('once it says that it answers, the regions hear of each other', async () => {
  for (const region of ['us', 'eu']) {
    const answer = await fetch(`${url}/${region}/replication-lag`)
    assert.equal(typeof ((await answer.json()) as { lag_seconds: unknown }).lag_seconds, 'number')
  }
})

test('it says what it started, and lines to try that work as they are', async () => {
  for (const name of ['postgres-us', 'postgres-eu', 'kafka', 'backend-us', 'backend-eu', 'nginx']) {
    assert.match(runner.output(), new RegExp(`Started ${name} +port \\d+ +\\(\\d+\\.\\d s\\)`))
  }
  const lines = runner.output().matchAll(/^.*?(curl .*)$/gm)
  const answers = []
  for (const [, line = ''] of lines) {
    const shell = spawn('sh', ['-c', `${line} -s -o /dev/null -w '%{http_code}'`], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    answers.push(await text(shell.stdout))
  }
  assert.deepEqual(answers, ['200', '200', '200', '200', '200', '200'])
})

test('parts are shown, killed, paused and started by name', async () => {
  const status = await local('status')
  assert.equal(status.code, 0)
  assert.match(status.output, /NAME +STATE[^]*backend-us +running/)

  assert.match((await local('kill', 'backend-us')).output, /backend-us is stopped/)
  const elsewhere = await fetch(`${url}/us/properties/1`)
  assert.equal(elsewhere.status, 200)
  assert.equal(elsewhere.headers.get('x-served-by'), 'eu')
  assert.match((await local('start', 'backend-us')).output, /backend-us is running/)

  assert.match((await local('pause', 'backend-us')).output, /backend-us is paused/)
  assert.equal((await fetch(`${url}/us/properties/1`)).headers.get('x-served-by'), 'eu')
  assert.match((await local('resume', 'backend-us')).output, /backend-us is running/)
  assert.match((await local('stop', 'kafka')).output, /kafka is stopped/)
  assert.match((await local('logs', 'kafka')).output, /Kafka Server started/)
  assert.match((await local('start', 'kafka')).output, /kafka is running/)
})

test('what cannot be done is refused with a reason', async () => {
  const unknown = await local('stop', 'backend-mars')
  assert.equal(unknown.code, 1)
  assert.match(unknown.output, /no part "backend-mars"\. Parts: nginx, backend-us/)
  assert.match((await local('start', 'kafka')).output, /kafka is running already/)
  assert.match((await local('resume', 'kafka')).output, /kafka is running, not paused/)
  assert.match((await local('reset')).output, /It runs \(pid \d+\): stop it first/)
  assert.match((await local('dance')).output, /Unknown command "dance"/)
  const second = await ended(launch('start'))
  assert.equal(second.code, 1)
  assert.match(second.output, /It runs already \(pid \d+\)/)
})

test('a part that ends by itself is started again', async () => {
  const old = nginxPid()
  process.kill(old, 'SIGKILL')
  await waitUntil(() => runner.output().includes('nginx runs again'), {
    timeoutMs: 10_000,
    what: 'NGINX to be back',
  })
  assert.notEqual(nginxPid(), old)
  assert.equal((await fetch(`${url}/us/health`)).status, 200)
})

test('after a crash of the runner the next start cleans up, and finds the data', async () => {
  const written = await write()
  const launcher = runner.child
  process.kill(readPidFile(join(state, 'runner.json'))?.pid ?? 0, 'SIGKILL')
  await once(launcher, 'exit')
  assert.ok(processesIn(parts).length > 0)
  assert.match((await local('status')).output, /Nothing runs here/)

  runner = await start()
  assert.match(runner.output(), /Ended \d+ processes that an earlier run had left behind/)
  const property = (await (await fetch(`${url}/us/properties/2`)).json()) as { version: number }
  assert.equal(property.version, written)
})

test('SIGTERM stops all of it in time; data can then be cleared', async () => {
  const began = performance.now()
  const { code, output } = await stop(runner)
  assert.equal(code, 0)
  assert.ok(performance.now() - began < stopTimeoutMs)
  assert.match(output, /Stopped in .* the data stays in/)
  assert.deepEqual(processesIn(state), [])
  assert.equal((await local('reset')).code, 0)
  assert.equal((await local('status')).code, 1)
})

test('a busy port is named, and nothing is left running', async (t) => {
  const server = createServer().listen(Number(environment['HTTP_PORT']), '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const { code, output } = await ended(launch('start'))
  assert.equal(code, 1)
  assert.match(output, /Port \d+, wanted by nginx, .*HTTP_PORT/)
  assert.deepEqual(processesIn(state), [])
})

function nginxPid(): number {
  return readPidFile(join(parts, 'nginx', 'pid.json'))?.pid ?? 0
}

/** Writes to property 2 and returns its new version. */
async function write(): Promise<number> {
  const { version } = (await (await fetch(`${url}/us/properties/2`)).json()) as { version: number }
  const answer = await fetch(`${url}/us/properties/2`, {
    method: 'PUT',
    headers: { 'Content-Type': 'application/json', 'X-Request-ID': crypto.randomUUID() },
    body: JSON.stringify({ version, price: 345_678.5 }),
  })
  assert.equal(answer.status, 200)
  return version + 1
}

async function start(): Promise<Run> {
  const run = launch('start')
  const isUp = () => run.output().includes('Ctrl-C stops everything')
  await waitUntil(() => isUp() || run.child.exitCode !== null, {
    timeoutMs: startTimeoutMs,
    what: 'npm start',
  })
  assert.ok(isUp(), run.output())
  return run
}

async function stop(run: Run): Promise<{ code: number | null; output: string }> {
  run.child.kill('SIGTERM')
  return ended(run)
}

async function local(...args: string[]): Promise<{ code: number | null; output: string }> {
  return ended(launch(...args))
}

function launch(...args: string[]): Run {
  const child = spawn(process.execPath, [join(projectRoot, 'local/launch.js'), ...args], {
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
  return { child, output: () => output }
}

async function ended({ child, output }: Run): Promise<{ code: number | null; output: string }> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'close')
  return { code: child.exitCode, output: output() }
}
