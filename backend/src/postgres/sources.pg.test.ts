import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import type { PoolClient } from 'pg'
import type { Heartbeat } from '../domain/event.ts'
import { useTestDatabase } from '../testing/database.ts'
import { beginRun, emitHeartbeat, SupersededError } from './emit-heartbeat.ts'
import { recordGap } from './gaps.ts'
import { advanceOffsets, FencedError, readOffsets, setOffsets } from './kafka-offsets.ts'
import { parseLsn } from './lsn.ts'
import { mergeMarks, storeSource } from './merge-marks.ts'
import { pruneClaims, pruneSql } from './prune-claims.ts'
import { readSources } from './read-sources.ts'

const database = useTestDatabase()
beforeEach(() => database.pool.query('TRUNCATE marks, sources, replication_gaps, kafka_offsets, claims'))

const heartbeat = (lsn: string, t: number): Heartbeat => ({
  schema: 1,
  type: 'heartbeat',
  actor: 'eu.b',
  lsn,
  xmin: String(t * 10),
  t,
  partitions: 2,
  since: '0/1',
  run: 'a@0/1',
  applied: {},
})
const client = <T>(work: (c: PoolClient) => Promise<T>): Promise<T> =>
  database.pool.connect().then((c) => work(c).finally(() => c.release()))
const deliver = (beat: Heartbeat, ...partitions: number[]) =>
  client(async (c) => {
    await storeSource(c, 'cluster', beat, { lower: -5, upper: 7 })
    await mergeMarks(
      c,
      partitions.map((partition) => ({ heartbeat: beat, partition })),
    )
  })
const watermark = async () => (await readSources(database.pool)).sources[0]?.watermark

test('a watermark is the least mark of all partitions, absent until each has one, and never goes back', async () => {
  await deliver(heartbeat('0/A', 1), 0)
  assert.equal(await watermark(), null)
  await deliver(heartbeat('0/F0', 3), 1)
  assert.deepEqual(await watermark(), { lsn: '0/A', xmin: '10', t: 1 })
  await deliver(heartbeat('1/0', 4), 0)
  assert.deepEqual(await watermark(), { lsn: '0/F0', xmin: '30', t: 3 })
  await deliver(heartbeat('0/B', 2), 0, 1)
  assert.deepEqual(await watermark(), { lsn: '0/F0', xmin: '30', t: 3 })
})

test('a gap of the actor or of its whole cluster is told with the source', async () => {
  await deliver(heartbeat('0/A', 1), 0, 1)
  const gap = async () => (await readSources(database.pool)).sources[0]?.gap
  assert.equal(await gap(), null)
  await client((c) => recordGap(c, 'another cluster', '', 'elsewhere'))
  await client((c) => recordGap(c, 'cluster', 'eu.other', 'another actor'))
  assert.equal(await gap(), null)
  await client((c) => recordGap(c, 'cluster', '', 'records have expired'))
  assert.equal(await gap(), 'records have expired')
})

test('a heartbeat vouches for what was committed before it, and carries the marks of others', async () => {
  await deliver(heartbeat('0/A', 1), 0, 1)
  await database.events()
  const { rows } = await database.pool.query<{ xid: string }>('SELECT pg_current_xact_id()::text AS xid')
  const run = await beginRun(database.pool)
  await emitHeartbeat(database.pool, { actor: 'us.a', since: '0/1', run })
  const { rows: raw } = await database.pool.query<{ data: Buffer }>(
    `SELECT data FROM pg_logical_slot_get_binary_changes($1, NULL, NULL,
       'proto_version', '1', 'publication_names', 'meridian', 'messages', 'true')`,
    [database.incarnation.slot],
  )
  const text = raw.map(({ data }) => data.toString()).find((data) => data.includes('heartbeat')) ?? ''
  const beat = JSON.parse(text.slice(text.indexOf('{'))) as Heartbeat
  assert.ok(BigInt(beat.xmin) > BigInt(rows[0]?.xid ?? 0))
  assert.deepEqual(beat.applied, { 'eu.b': { lsn: '0/A', xmin: '10', t: 1 } })
})

test('a relay that was succeeded sends no heartbeat, and none lies beyond the start of its successor', async () => {
  const origin = { actor: 'us.a', since: '0/1', partitions: 1 }
  const first = await beginRun(database.pool)
  const sent = Array.from({ length: 20 }, () => emitHeartbeat(database.pool, { ...origin, run: first }))
  const [second, ...outcomes] = await Promise.all([
    beginRun(database.pool),
    ...sent.map((beat) => beat.then(() => 'sent').catch((error: unknown) => error)),
  ])
  for (const outcome of outcomes) assert.ok(outcome === 'sent' || outcome instanceof SupersededError)
  await assert.rejects(emitHeartbeat(database.pool, { ...origin, run: first }), SupersededError)
  await emitHeartbeat(database.pool, { ...origin, run: second })
  const { rows } = await database.pool.query<{ lsn: string; data: Buffer }>(
    `SELECT lsn::text, data FROM pg_logical_slot_get_binary_changes($1, NULL, NULL,
       'proto_version', '1', 'publication_names', 'meridian', 'messages', 'true')`,
    [database.incarnation.slot],
  )
  const late = rows.filter(
    ({ lsn, data }) =>
      data.includes(`"run" : "${first}"`) && parseLsn(lsn) > parseLsn(second.slice(second.indexOf('@') + 1)),
  )
  assert.equal(
    rows.filter(({ data }) => data.includes('"run"')).length,
    outcomes.filter((o) => o === 'sent').length + 1,
  )
  assert.deepEqual(late, [])
})

test('offsets move only from where the applier left them', async () => {
  const topic = { clusterId: 'c', topicId: 't', topic: 'property-updates' }
  await client((c) =>
    setOffsets(
      c,
      topic,
      new Map([
        [0, 5n],
        [1, 9n],
      ]),
    ),
  )
  const advance = (moves: [number, bigint, bigint][]) =>
    client((c) => advanceOffsets(c, topic, new Map(moves.map(([p, from, to]) => [p, { from, to }]))))
  assert.ok(
    (await advance([
      [0, 5n, 8n],
      [1, 9n, 10n],
    ])) > 1.7e15,
  )
  await assert.rejects(advance([[0, 5n, 8n]]), FencedError)
  await assert.rejects(advance([[2, 0n, 1n]]), FencedError)
  const stored = await client((c) => readOffsets(c, topic))
  assert.deepEqual(stored, {
    offsets: new Map([
      [0, 8n],
      [1, 10n],
    ]),
    topicReplaced: false,
  })
  const anew = await client((c) => readOffsets(c, { ...topic, topicId: 'u' }))
  assert.deepEqual(anew, { offsets: new Map(), topicReplaced: true })
})

test('claims go after a day, and only when they are merged everywhere', async () => {
  const now = Date.now() * 1000
  const day = 24 * 3600 * 1e6
  for (const [id, age] of [
    ['old', day + 1e6],
    ['young', day - 60e6],
  ] as const) {
    await database.pool.query(
      `INSERT INTO claims (request_id, acceptances, claimed_at) VALUES ($1, '[]', $2)`,
      [id, now - age],
    )
  }
  const left = async () =>
    (await database.pool.query<{ request_id: string }>('SELECT request_id FROM claims ORDER BY 1')).rows.map(
      (r) => r.request_id,
    )
  assert.equal(await pruneClaims(database.pool, now - day), 0)
  assert.deepEqual(await left(), ['old', 'young'])
  assert.equal(await pruneClaims(database.pool, now), 1)
  assert.deepEqual(await left(), ['young'])
})

test('old claims are found without a look at all the others', async () => {
  await database.pool.query(
    `INSERT INTO claims (request_id, acceptances) SELECT 'r' || n, '[]' FROM generate_series(1, 20000) AS n`,
  )
  await database.pool.query('ANALYZE claims')
  const plan = await client(async (c) => {
    const { rows } = await c.query<{ 'QUERY PLAN': string }>(
      `EXPLAIN ${pruneSql.replace('$1', '2000000000000000')}`,
    )
    return rows.map((row) => row['QUERY PLAN']).join('\n')
  })
  assert.match(plan, /Index Scan using claims_claimed_at[^\n]*\n\s*Index Cond/)
  assert.doesNotMatch(plan, /Seq Scan on claims/)
})
