import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { readPidFile, releaseLock, sweepPidFile, takeLock, writePidFile } from './pid-file.ts'
import { findProcess } from './process-table.ts'
import { scratchFolder } from './test-support.ts'

const sleeper = ['-e', 'setInterval(() => {}, 1000)']

test('a process that only has the same pid is left alone', async (t) => {
  const folder = scratchFolder(t)
  const file = join(folder, 'pid.json')
  const stranger = spawn(process.execPath, sleeper, { cwd: folder, detached: true })
  t.after(() => stranger.kill('SIGKILL'))
  writeFileSync(file, JSON.stringify({ pid: stranger.pid, startTime: '12' }))

  assert.equal(readPidFile(file), undefined)
  assert.equal(await sweepPidFile(file, folder), 0)
  assert.ok(findProcess(stranger.pid ?? 0), 'it still lives')
  assert.equal(existsSync(file), false)
})

test('the process that the file names is ended with its children', async (t) => {
  const folder = scratchFolder(t)
  const file = join(folder, 'pid.json')
  const source = `const child = require('node:child_process').spawn(process.execPath, ${JSON.stringify(sleeper)}); console.log(child.pid); setInterval(() => {}, 1000)`
  const parent = spawn(process.execPath, ['-e', source], { cwd: folder, detached: true })
  const [line] = (await once(parent.stdout, 'data')) as [Buffer]
  writePidFile(file, parent.pid ?? 0)

  assert.equal(readPidFile(file)?.pid, parent.pid)
  assert.equal(await sweepPidFile(file, folder), 2)
  assert.equal(findProcess(parent.pid ?? 0), undefined)
  assert.equal(findProcess(Number(line)), undefined)
})

test('workers that outlived their leader are ended, others of the same group number are not', async (t) => {
  const folder = scratchFolder(t)
  const elsewhere = scratchFolder(t)
  const file = join(folder, 'pid.json')
  const source = `
    const { spawn } = require('node:child_process')
    const start = (cwd) => spawn(process.execPath, ${JSON.stringify(sleeper)}, { cwd }).pid
    console.log(start(${JSON.stringify(folder)}), start(${JSON.stringify(elsewhere)}))
    setInterval(() => {}, 1000)`
  const leader = spawn(process.execPath, ['-e', source], { cwd: folder, detached: true })
  const [line] = (await once(leader.stdout, 'data')) as [Buffer]
  const [worker = 0, stranger = 0] = line.toString().split(' ').map(Number)
  t.after(() => process.kill(stranger, 'SIGKILL'))
  writePidFile(file, leader.pid ?? 0)
  leader.kill('SIGKILL')
  await once(leader, 'exit')

  assert.equal(await sweepPidFile(file, folder), 1)
  assert.equal(findProcess(worker), undefined)
  assert.ok(findProcess(stranger))
})

test('a lock is held by one living process at a time, and a dead holder does not count', (t) => {
  const lock = join(scratchFolder(t), 'runner.json')
  assert.equal(takeLock(lock), true)
  assert.equal(takeLock(lock), false)
  releaseLock(lock)
  writeFileSync(lock, JSON.stringify({ pid: process.pid, startTime: 'of another process' }))
  assert.equal(takeLock(lock), true)
})
