import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { freePort, isPortFree } from './ports.ts'
import { planPorts, readSettings } from './settings.ts'
import { scratchFolder } from './test-support.ts'

test('the environment wins over .env, and that over .env.example', (t) => {
  const folder = scratchFolder(t)
  writeFileSync(join(folder, '.env.example'), 'HTTP_PORT=8080\nPOSTGRES_DB=example\nLOG_LEVEL=info\n')
  writeFileSync(join(folder, '.env'), 'POSTGRES_DB=mine\nLOG_LEVEL=debug\n')
  const { httpPort, backendsPerRegion, env } = readSettings({ LOG_LEVEL: 'warn' }, folder)
  assert.deepEqual(
    [httpPort, backendsPerRegion, env['POSTGRES_DB'], env['LOG_LEVEL']],
    [8080, 1, 'mine', 'warn'],
  )
})

test('a setting that makes no sense is named', (t) => {
  const folder = scratchFolder(t)
  assert.throws(
    () => readSettings({ BACKENDS_PER_REGION: '3' }, folder),
    /BACKENDS_PER_REGION must be .* 1 to 2/,
  )
  assert.throws(() => readSettings({ HTTP_PORT: 'http' }, folder), /HTTP_PORT must be an integer/)
})

test('ports: a busy default gives way, a port that was asked for must be free', async (t) => {
  const folder = scratchFolder(t)
  const busy = createServer().listen(0, '127.0.0.1')
  await once(busy, 'listening')
  t.after(() => busy.close())
  const address = busy.address()
  assert.ok(address && typeof address === 'object')
  const taken = String(address.port)
  const free = String(await freePort())

  const settings = readSettings({ HTTP_PORT: free, POSTGRES_US_PORT: free, BACKENDS_PER_REGION: '2' }, folder)
  const { ports } = await planPorts(settings)
  assert.equal(ports['postgres-us'], Number(free))
  assert.deepEqual(Object.keys(ports), [
    'nginx',
    'kafka',
    'postgres-us',
    'backend-us',
    'backend-us-2',
    'postgres-eu',
    'backend-eu',
    'backend-eu-2',
  ])
  if ((await isPortFree(3001)) && (await isPortFree(5501))) {
    const inTheWay = readSettings({ HTTP_PORT: free, KAFKA_PORT: '3001', POSTGRES_EU_PORT: '5501' }, folder)
    const planned = Object.values((await planPorts(inTheWay)).ports)
    assert.equal(new Set(planned).size, planned.length, 'a default gives way to a port that was asked for')
  } else t.diagnostic('not tried, 3001 or 5501 is busy: a default gives way to a port that was asked for')
  const asked = readSettings({ HTTP_PORT: free, KAFKA_PORT: taken }, folder)
  await assert.rejects(planPorts(asked), new RegExp(`Port ${taken}, wanted by kafka, .* set KAFKA_PORT`))
  const front = readSettings({ HTTP_PORT: taken }, folder)
  await assert.rejects(planPorts(front), new RegExp(`Port ${taken}, wanted by nginx, .* set HTTP_PORT`))
})
