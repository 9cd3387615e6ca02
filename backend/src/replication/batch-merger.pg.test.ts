import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { encodePropertyEvent } from '../domain/event.ts'
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

const contents = async (): Promise<unknown> => {
  const { rows } = await database.pool.query(
    `SELECT (SELECT next_offset FROM kafka_offsets), (SELECT count(*) FROM claims) AS claims,
       (SELECT count(*) FROM conflicts) AS conflicts, (SELECT vector FROM properties WHERE id = 1)`,
  )
  return rows[0]
}

test('a batch that another applier has overtaken leaves nothing behind, whatever of it was sent along', async () => {
  const session = await openMergeSession(database.url)
  try {
    await session.setOffsets(topic, new Map([[partition, 1n]]))
    const merger = await BatchMerger.create(session, topic, {
      actor: database.incarnation.actor,
      metrics: createMetrics('us'),
      logger: pino({ level: 'silent' }),
      sleep,
      onRestored() {},
    })
    const prepare = (writer: number, offset: bigint, from: bigint) => {
      const state = write(seedState(), { actor: writer, changes: { bedrooms: writer }, skew: 0 }, 1)
      const event = { actor: actors[writer] as string, state, conflicts: [], claims: [] }
      const value = Buffer.from(encodePropertyEvent(event))
      return merger.prepare([{ partition, offset, value }], new Map([[partition, from]]))
    }
    await merger.merge(await prepare(1, 1n, 1n))
    const before = await contents()
    // It is concurrent with the first one, so merging it takes statements that wait for others' answers.
    await assert.rejects(merger.merge(await prepare(2, 2n, 1n)), FencedError)
    for (let trip = 0; trip < roundTrips; trip++) await session.ping()
    assert.deepEqual(await contents(), before)
    await merger.merge(await prepare(2, 2n, 2n))
    assert.notDeepEqual(await contents(), before)
  } finally {
    session.close()
  }
})
