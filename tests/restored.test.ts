/**
 * A database that was put back to an earlier state (a disk snapshot, so that nothing in it tells) would issue dots a
 * second time. It is found out by its own heartbeats, and refuses for good.
 */

import assert from 'node:assert/strict'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { Part } from '../local/parts/part.ts'
import { createStack, type Stack } from '../local/parts/stack.ts'
import { chownTree, unprivilegedOwner } from '../local/unprivileged.ts'
import { waitUntil } from '../local/wait.ts'

let dir: string
let stack: Stack

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'meridian-restored-'))
  stack = await createStack({ dir, env: { POSTGRES_FSYNC: 'off', LOG_LEVEL: 'warn' }, backendsPerRegion: 2 })
  await stack.start()
})
after(async () => {
  await stack?.stop()
  await rm(dir, { recursive: true, force: true })
})

const backends = () => stack.backends['us'] ?? assert.fail()
const all = (act: (part: Part) => Promise<void>) => Promise.all(backends().map(act))

async function ask(url: string): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(url)
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

async function write(price: number): Promise<number> {
  const url = `${backends()[0]?.url}/properties/20`
  const { body } = await ask(url)
  const response = await fetch(url, {
    method: 'PUT',
    headers: { 'content-type': 'application/json', 'x-request-id': `restored-${price}` },
    body: JSON.stringify({ price, version: body['version'] }),
  })
  await response.text()
  return response.status
}

const versionInEurope = async () =>
  (await ask(`${stack.backends['eu']?.[0]?.url}/properties/20`)).body['version']
const untilEuropeHas = (version: number) =>
  waitUntil(async () => (await versionInEurope()) === version, {
    what: `version ${version}`,
    timeoutMs: 20_000,
  })

/** Runs `work` while nothing of the region runs. */
async function whileDown(work: () => Promise<void>): Promise<void> {
  const postgres = stack.postgres['us'] ?? assert.fail()
  await all((part) => part.stop())
  await postgres.stop()
  await work()
  await postgres.start()
}

async function untilRefused(): Promise<void> {
  await waitUntil(
    async () => {
      const answers = await Promise.allSettled(backends().map(({ url }) => ask(`${url}/ready`)))
      return answers.every(
        (answer) =>
          answer.status === 'fulfilled' &&
          answer.value.status === 503 &&
          answer.value.body['code'] === 'incarnation_mismatch',
      )
    },
    { what: 'every backend to refuse', timeoutMs: 20_000 },
  )
}

test('a database that was put back to an earlier state refuses writes, in every backend and after a restart', async () => {
  const data = join(dir, 'postgres-us', 'data')
  const snapshot = join(dir, 'snapshot')
  assert.equal(await write(1), 200)
  await untilEuropeHas(2)
  await whileDown(() => cp(data, snapshot, { recursive: true, preserveTimestamps: true }))
  await all((part) => part.start())
  // An ordinary restart is no reason to refuse.
  assert.equal(await write(2), 200)
  assert.equal(await write(3), 200)
  await untilEuropeHas(4)
  await whileDown(async () => {
    await rm(data, { recursive: true })
    await cp(snapshot, data, { recursive: true, preserveTimestamps: true })
    chownTree(data, unprivilegedOwner())
  })
  await all((part) => part.start())
  await untilRefused()
  assert.equal(await write(99), 503)
  await all((part) => part.stop())
  // They never become ready, so their starts do not end well.
  const starts = Promise.allSettled(backends().map((part) => part.start()))
  await untilRefused()
  await all((part) => part.stop())
  await starts
  assert.equal(await versionInEurope(), 4)
})
