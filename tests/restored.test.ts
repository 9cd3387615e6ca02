/**
 * A database that was put back to an earlier state (a disk snapshot, so that nothing in it tells) would issue dots a
 * second time. It is found out by its own heartbeats, and refuses for good.
 */

import assert from 'node:assert/strict'
import { cp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Part } from '../local/parts/part.ts'
import { chownTree, unprivilegedOwner } from '../local/unprivileged.ts'
import { waitUntil } from '../local/wait.ts'
import { useSystem } from './support/use-system.ts'

const system = useSystem({ env: { POSTGRES_FSYNC: 'off' }, backendsPerRegion: 2 })

const path = '/properties/20'
const backends = () => system.stack.backends['us'] ?? assert.fail()
const all = (act: (part: Part) => Promise<void>) => Promise.all(backends().map(act))

async function write(price: number): Promise<number> {
  const backend = system.backend('us')
  const { version } = (await system.askBackend(backend, path)).body
  const requestId = `restored-${price}`
  const body = { price, version }
  return (await system.askBackend(backend, path, { method: 'PUT', requestId, body })).status
}

const versionInEurope = async () => (await system.askBackend(system.backend('eu'), path)).body['version']
const untilEuropeHas = (version: number) =>
  waitUntil(async () => (await versionInEurope()) === version, {
    what: `version ${version}`,
    timeoutMs: 20_000,
  })

/** Runs `work` while nothing of the region runs, its database having ended as `end` ends it. */
async function whileDown(end: 'stop' | 'kill', work: () => Promise<void>): Promise<void> {
  const postgres = system.stack.postgres['us'] ?? assert.fail()
  if (end === 'stop') await all((part) => part.stop())
  else await all((part) => part.kill())
  await postgres[end]()
  await work()
  await postgres.start()
}

/** Starts the region's backends; none of them may become ready. */
async function startRefused(): Promise<void> {
  const starts = Promise.allSettled(backends().map((part) => part.start()))
  await waitUntil(
    async () => {
      const answers = await Promise.allSettled(backends().map((part) => system.askBackend(part, '/ready')))
      return answers.every((answer) => {
        if (answer.status === 'rejected') return false
        assert.notEqual(answer.value.status, 200)
        return answer.value.body['code'] === 'incarnation_mismatch'
      })
    },
    { what: 'every backend to refuse', timeoutMs: 20_000, intervalMs: 10 },
  )
  assert.equal(await write(99), 503)
  await all((part) => part.stop())
  assert.ok((await starts).every(({ status }) => status === 'rejected'))
}

for (const end of ['stop', 'kill'] as const) {
  test(`a database that was put back to its state at a ${end} never becomes ready, after a restart neither`, async () => {
    const data = join(system.dir, 'postgres-us', 'data')
    const snapshot = join(system.dir, `snapshot-${end}`)
    const version = Number(await versionInEurope())
    assert.equal(await write(version), 200)
    await untilEuropeHas(version + 1)
    await whileDown(end, () => cp(data, snapshot, { recursive: true, preserveTimestamps: true }))
    // An ordinary restart is no reason to refuse.
    await all((part) => part.start())
    for (const price of [version + 1, version + 2]) assert.equal(await write(price), 200)
    await untilEuropeHas(version + 3)
    const current = join(system.dir, `current-${end}`)
    await whileDown(end, async () => {
      await rename(data, current)
      await cp(snapshot, data, { recursive: true, preserveTimestamps: true })
      chownTree(data, unprivilegedOwner())
    })
    await startRefused()
    await startRefused()
    assert.equal(await versionInEurope(), version + 3)
    // With its own state again the region goes on.
    await whileDown('stop', async () => {
      await rm(data, { recursive: true })
      await rename(current, data)
    })
    await all((part) => part.start())
  })
}
