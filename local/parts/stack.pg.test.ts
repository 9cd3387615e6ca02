/** All real parts, on free ports. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Client } from 'pg'
import { processesIn, scratchFolder } from '../test-support.ts'
import { waitUntil } from '../wait.ts'
import { answers } from './http-probe.ts'
import { createStack } from './stack.ts'

test('the stack serves, survives the loss of its parts, keeps its data, and leaves no process', async (t) => {
  const dir = scratchFolder(t)
  const stack = await createStack({ dir, env: { POSTGRES_FSYNC: 'off', LOG_LEVEL: 'warn' } })
  t.after(() => stack.stop())
  await stack.start()
  for (const region of ['us', 'eu']) assert.ok(await answers(`${stack.url}/${region}/health`), region)

  await mark(stack.postgres['us']?.url)
  await stack.postgres['us']?.kill()
  await stack.postgres['us']?.start()
  assert.equal(await marks(stack.postgres['us']?.url), 1, 'committed before the crash')
  await Promise.all([stack.kafka.kill(), stack.backends['eu']?.[0]?.kill()])
  assert.ok(await answers(`${stack.url}/eu/properties/1`), 'the other region answers')

  const began = performance.now()
  await stack.stop()
  assert.ok(performance.now() - began < 10_000)
  assert.deepEqual(processesIn(dir), [])

  await stack.start()
  await waitUntil(() => answers(`${stack.url}/eu/health`), { timeoutMs: 5_000, what: 'eu to answer again' })
  assert.equal(await marks(stack.postgres['us']?.url), 1)
  await stack.stop()
  assert.deepEqual(processesIn(dir), [])
})

test('a part that cannot start fails the start of the stack, and everything else is stopped', async (t) => {
  const dir = scratchFolder(t)
  const stack = await createStack({
    dir,
    env: { POSTGRES_FSYNC: 'off', POSTGRES_MAX_SLOT_WAL_KEEP_SIZE: 'plenty' },
  })
  await assert.rejects(stack.start(), /postgres-(us|eu) ended before it served[^]*max_slot_wal_keep_size/)
  assert.deepEqual(processesIn(dir), [])
})

async function mark(url: string | undefined): Promise<void> {
  await query(url, 'CREATE TABLE mark (n integer); INSERT INTO mark VALUES (1)')
}

async function marks(url: string | undefined): Promise<number> {
  const [row] = await query(url, 'SELECT count(*)::integer AS count FROM mark')
  return row?.count ?? 0
}

async function query(url: string | undefined, sql: string): Promise<Array<{ count: number }>> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<{ count: number }>(sql)).rows
  } finally {
    await client.end()
  }
}
