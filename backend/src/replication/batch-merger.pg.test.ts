import assert from 'node:assert/strict'
import { beforeEach, test, type TestContext } from 'node:test'
import { pino } from 'pino'
import type { Claim } from '../domain/claim.ts'
import { encodeEtag } from '../domain/etag.ts'
import { encodePropertyEvent } from '../domain/event.ts'
import type { PropertyState } from '../domain/property.ts'
import type { IncomingRecord } from '../kafka/reader.ts'
import { FencedError } from '../postgres/kafka-offsets.ts'
import { openMergeSession } from '../postgres/merge-session.ts'
import { createMetrics } from '../runtime/metrics.ts'
import { sleep } from '../runtime/service.ts'
import { actors, seedState, write } from '../testing/arbitraries.ts'
import { useTestDatabase } from '../testing/database.ts'
import { BatchMerger } from './batch-merger.ts'

const database = useTestDatabase()
const topic = { clusterId: 'c', topicId: 't', topic: 'topic', leaders: [1] }
const partition = 0
/** More than a merge has statements. */
const roundTrips = 20

beforeEach(async () => {
  await database.pool.query(`TRUNCATE claims, conflicts, quarantine, kafka_offsets`)
  await database.pool.query(`UPDATE properties SET vector = '{}', stamps = '{}', extra = '{}', version = 1`)
})

/** A merger on a session of its own, for records from offset 0 on. */
async function openMerger(t: TestContext) {
  const session = await openMergeSession(database.url)
  t.after(() => session.close())
  await session.setOffsets(topic, new Map([[partition, 0n]]))
  const merger = await BatchMerger.create(session, topic, {
    actor: database.incarnation.actor,
    metrics: createMetrics('us'),
    logger: pino({ level: 'silent' }),
    sleep,
    onRestored() {},
  })
  const merge = async (records: readonly IncomingRecord[], from: bigint): Promise<void> =>
    merger.merge(await merger.prepare(records, new Map([[partition, from]])))
  return { session, merge }
}

/** What an actor other than the database's has written on a seed. */
function recordOf(offset: bigint, writer: number, changes: Partial<PropertyState> = {}): IncomingRecord {
  const actor = actors[writer] as string
  const written = write(seedState(), { actor: writer, changes: { bedrooms: writer }, skew: 0 }, 1)
  const state = { ...written, ...changes }
  const acceptance = { property: state.id, actor, n: 1, fingerprint: 'f', status: 200, version: 2, xid: '1' }
  const claim: Claim = {
    request_id: `r${offset}`,
    acceptances: [{ ...acceptance, etag: encodeEtag(state.vector), t: 1 }],
  }
  const value = Buffer.from(encodePropertyEvent({ actor, state, conflicts: [], claims: [claim] }))
  return { partition, offset, value }
}

async function contents(): Promise<unknown> {
  const { rows } = await database.pool.query(
    `SELECT (SELECT next_offset FROM kafka_offsets) AS next, (SELECT count(*) FROM conflicts) AS conflicts,
       (SELECT coalesce(array_agg(request_id ORDER BY request_id), '{}') FROM claims) AS claims,
       (SELECT coalesce(array_agg(kafka_offset::integer), '{}') FROM quarantine) AS quarantined,
       (SELECT array_agg(id::integer ORDER BY id) FROM properties WHERE version > 1) AS changed,
       (SELECT vector FROM properties WHERE id = 1)`,
  )
  return rows[0]
}

test('a batch that another applier has overtaken leaves nothing behind, whatever of it was sent along', async (t) => {
  const { session, merge } = await openMerger(t)
  await merge([recordOf(0n, 1)], 0n)
  const before = await contents()
  // It is concurrent with the first one, so merging it takes statements that wait for others' answers.
  await assert.rejects(merge([recordOf(1n, 2)], 0n), FencedError)
  for (let trip = 0; trip < roundTrips; trip++) await session.ping()
  assert.deepEqual(await contents(), before)
  await merge([recordOf(1n, 2)], 1n)
  assert.notDeepEqual(await contents(), before)
})

test('what the database refuses is quarantined alone, whatever was sent along with it', async (t) => {
  const { merge } = await openMerger(t)
  const unstorable = recordOf(1n, 2, { id: 2, extra: { garden: '\u0000' } })
  await merge([recordOf(0n, 1), unstorable, recordOf(2n, 2, { id: 3 })], 0n)
  assert.deepEqual(await contents(), {
    next: 3,
    conflicts: 0,
    claims: ['r0', 'r2'],
    quarantined: [1],
    changed: [1, 3],
    vector: { 'eu.b': 1 },
  })
})
