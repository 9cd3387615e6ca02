import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { answers } from './parts/http-probe.ts'
import { projectRoot } from './paths.ts'
import { SupervisedPart } from './supervised-part.ts'
import { processesIn, scratchFolder, smallPart } from './test-support.ts'
import { waitUntil } from './wait.ts'

test('a part can be paused, resumed, killed and started again', async (t) => {
  const folder = scratchFolder(t)
  const part = await smallPart(folder)
  const url = `http://127.0.0.1:${part.port}/`
  await part.start()
  assert.equal(processesIn(folder).length, 2)

  part.pause()
  assert.equal(await answers(url), false, 'it is silent')
  assert.equal(processesIn(folder).length, 2)
  part.resume()
  assert.equal(await answers(url), true)

  await part.kill()
  assert.deepEqual(processesIn(folder), [])
  await part.start()
  part.pause()
  await part.stop()
  assert.deepEqual(processesIn(folder), [], 'a paused part can be stopped')
})

test('a part that ignores the request to stop is killed', async (t) => {
  const folder = scratchFolder(t)
  const deaf = `
    import { createServer } from 'node:http'
    process.on('SIGTERM', () => {})
    createServer((request, response) => response.end()).listen(Number(process.argv[2]), '127.0.0.1')`
  const part = await smallPart(folder, deaf)
  await part.start()
  await part.stop()
  assert.match(await part.whenExited(), /SIGKILL/)
  assert.deepEqual(processesIn(folder), [])
})

test('a start that fails says why and shows the log', async (t) => {
  const failing = await smallPart(scratchFolder(t), `console.log('no configuration'); process.exit(3)`)
  await assert.rejects(failing.start(), /small ended before it served: exit code 3\nno configuration/)

  const folder = scratchFolder(t)
  const mute = await smallPart(folder, `console.log('thinking'); setInterval(() => {}, 1000)`, 300)
  await assert.rejects(mute.start(), /did not serve within 0.3 s\nthinking/)
  assert.deepEqual(processesIn(folder), [])
})

test('a busy port is named with the setting that changes it', async (t) => {
  const part = await smallPart(scratchFolder(t))
  const server = createServer().listen(part.port, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  await assert.rejects(part.start(), new RegExp(`Port ${part.port}, wanted by small, .* set SMALL_PORT`))
})

for (const ending of [
  'process.exit(0)',
  `throw new Error('as in a bug')`,
  `process.kill(process.pid, 'SIGTERM')`,
]) {
  test(`no part outlives the process that started it: ${ending}`, async (t) => {
    const folder = scratchFolder(t)
    const source = `
      import { smallPart } from ${JSON.stringify(join(projectRoot, 'local/test-support.ts'))}
      const part = await smallPart(${JSON.stringify(folder)})
      await part.start()
      ${ending}`
    const child = spawn(process.execPath, ['--input-type=module', '-e', source], { stdio: 'ignore' })
    await once(child, 'exit')
    await waitUntil(() => processesIn(folder).length === 0, { timeoutMs: 2_000, what: 'the part to be gone' })
  })
}

test('a supervised part comes back after a crash, and stays down after a kill on purpose', async (t) => {
  const folder = scratchFolder(t)
  const lines: string[] = []
  const supervised = new SupervisedPart(await smallPart(folder), (line) => lines.push(line))
  const { part } = supervised
  await supervised.start()
  process.kill(part.pid ?? 0, 'SIGKILL')
  await waitUntil(() => supervised.restarts === 1 && supervised.state === 'running', {
    timeoutMs: 5_000,
    what: 'the restart',
  })
  assert.match(lines[0] ?? '', /small ended by itself \(ended by SIGKILL\); starting it again in 0.5 s/)

  process.kill(part.pid ?? 0, 'SIGKILL')
  await waitUntil(() => supervised.state === 'restarting', {
    timeoutMs: 5_000,
    what: 'the crash to be noticed',
  })
  await supervised.stop()
  assert.equal(supervised.state, 'stopped', 'a stop ends the wait for the restart')
  await supervised.start()
  await supervised.kill()
  assert.equal(supervised.state, 'stopped')
  assert.equal(supervised.restarts, 1)
  assert.deepEqual(processesIn(folder), [])
})
