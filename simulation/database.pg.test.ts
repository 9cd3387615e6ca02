/** The simulated database and PostgreSQL give one answer to each statement, and hold the same after it. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Claim } from '../backend/src/domain/claim.ts'
import type { Heartbeat } from '../backend/src/domain/event.ts'
import type { PropertyState } from '../backend/src/domain/property.ts'
import { beginRun, emitHeartbeat } from '../backend/src/postgres/emit-heartbeat.ts'
import { readGaps } from '../backend/src/postgres/gaps.ts'
import { readOffsets, setOffsets, type TopicIdentity } from '../backend/src/postgres/kafka-offsets.ts'
import { encodeClaims } from '../backend/src/postgres/merge-claims.ts'
import { mergeTransaction } from '../backend/src/postgres/merge-session.ts'
import { encodeStates } from '../backend/src/postgres/merge-states.ts'
import { readSources } from '../backend/src/postgres/read-sources.ts'
import type { MergeTransaction } from '../backend/src/replication/ports.ts'
import { conflictsArbitrary, seedState, statesArbitrary } from '../backend/src/testing/arbitraries.ts'
import { useTestDatabase } from '../backend/src/testing/database.ts'
import { SimulatedDatabase } from './database.ts'
import { mergeStatements } from './merge-statements.ts'
import { Random } from './random.ts'
import { Scheduler } from './scheduler.ts'

const database = useTestDatabase()

const topic: TopicIdentity = { clusterId: 'c', topicId: 't', topic: 'property-updates' }
const partitions = 2
const seeds = Array.from({ length: 3 }, (_, index) => seedState(index + 1))

function simulate(): SimulatedDatabase {
  const observer = { onAccepted() {}, onRow() {}, onConfirmed() {}, onHeartbeat() {}, onStray() {} }
  const options = { region: 'us', skew: 0, seeds, observer }
  const simulated = new SimulatedDatabase({ ...options, scheduler: new Scheduler(), random: new Random(1) })
  for (let partition = 0; partition < partitions; partition++) {
    simulated.offsets.committed.set(`t/${partition}`, 0n)
  }
  return simulated
}

async function reset(): Promise<void> {
  const { pool } = database
  await pool.query(
    'TRUNCATE properties, claims, conflicts, marks, sources, replication_gaps, kafka_offsets, quarantine',
  )
  const client = await pool.connect()
  await mergeTransaction(client).mergeStates(encodeStates(seeds))
  await setOffsets(client, topic, new Map(Array.from({ length: partitions }, (_, index) => [index, 0n])))
  client.release()
}

/** One statement, and what it answers. */
type Statement = (merge: MergeTransaction) => Promise<unknown>

const idArbitrary = fc.integer({ min: 1, max: 5 })
const byId = <T extends { readonly id: number | string }>(values: readonly T[]): readonly T[] =>
  values.toSorted((a, b) => (a.id < b.id ? -1 : 1))

/** Anything whose text begins with what it is called. */
const inOrder = <T>(values: Iterable<T>): readonly T[] =>
  [...values].toSorted((a, b) => (String(a) < String(b) ? -1 : 1))

const stateArbitrary: fc.Arbitrary<PropertyState> = fc
  .tuple(statesArbitrary, fc.integer({ min: 0, max: 2 }), idArbitrary)
  .map(([states, index, id]) => ({ ...(states[index] as PropertyState), id }))

const claimArbitrary: fc.Arbitrary<Claim> = fc
  .record({
    request_id: fc.constantFrom('a', 'b', 'C'),
    dots: fc.uniqueArray(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 3 }),
  })
  .map(({ request_id, dots }) => ({
    request_id,
    acceptances: dots
      .toSorted((a, b) => a - b)
      .map((n) => ({
        property: 1,
        actor: n % 2 === 0 ? 'us.a' : 'eu.b',
        n,
        fingerprint: 'f',
        status: 200,
        version: n + 1,
        etag: '"x"',
        xid: String(n),
        t: n,
      })),
  }))

const heartbeatArbitrary: fc.Arbitrary<Heartbeat> = fc
  .record({ actor: fc.constantFrom('eu.b', 'ap.c'), time: fc.integer({ min: 1, max: 20 }) })
  .map(({ actor, time }) => ({
    schema: 1,
    type: 'heartbeat',
    actor,
    lsn: `${time > 10 ? 1 : 0}/${time.toString(16).toUpperCase()}`,
    xmin: String(time * 7),
    t: time,
    run: 'r@0/1',
    partitions,
    since: '0/1',
    applied: { 'us.a1': { lsn: '0/1', xmin: '2', t: time } },
  }))

const uniqueBy = <T>(of: fc.Arbitrary<T>, selector: (value: T) => unknown) =>
  fc.uniqueArray(of, { selector, maxLength: 4 })

const statementArbitrary: fc.Arbitrary<Statement> = fc.oneof(
  uniqueBy(stateArbitrary, ({ id }) => id).map(
    (states): Statement =>
      async (merge) =>
        inOrder(await merge.mergeStates(encodeStates(states))),
  ),
  fc.uniqueArray(idArbitrary, { maxLength: 4 }).map(
    (ids): Statement =>
      (merge) =>
        merge.lockStates(ids),
  ),
  uniqueBy(claimArbitrary, (claim) => claim.request_id).map((claims): Statement => async (merge) => {
    const grown = await merge.mergeClaims(encodeClaims(claims))
    return grown.toSorted((a, b) => (a.request_id < b.request_id ? -1 : 1))
  }),
  fc.constant<Statement>(async (merge) => inOrder(await merge.readClaims(['a', 'C', 'none']))),
  conflictsArbitrary.map(
    (records): Statement =>
      async (merge) =>
        byId(await merge.mergeConflicts(records)),
  ),
  fc
    .tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 1, max: 3 }))
    .map(([from, by]): Statement => async (merge) => {
      const advances = new Map([[0, { from: BigInt(from), to: BigInt(from + by) }]])
      return typeof (await merge.advanceOffsets(topic, advances))
    }),
  fc
    .tuple(heartbeatArbitrary, fc.integer({ min: 0, max: partitions - 1 }))
    .map(([heartbeat, partition]): Statement => async (merge) => {
      await merge.storeSource('c', heartbeat, { lower: -heartbeat.t, upper: heartbeat.t })
      await merge.mergeMarks([{ heartbeat, partition }])
    }),
  fc.constantFrom('', 'eu.b').map(
    (actor): Statement =>
      (merge) =>
        merge.recordGap('c', actor, `a gap of ${actor}`),
  ),
)

/** Runs statements up to the first that is refused; the answers, and a refusal by its name. */
async function answer(merge: MergeTransaction, statements: readonly Statement[]): Promise<unknown[]> {
  const answers: unknown[] = []
  try {
    for (const statement of statements) answers.push(await statement(merge))
  } catch (error) {
    answers.push((error as Error).constructor.name)
  }
  return answers
}

const isRefused = (answers: readonly unknown[]): boolean => answers.at(-1) === 'FencedError'

async function answerInPostgres(statements: readonly Statement[]): Promise<unknown[]> {
  const client = await database.pool.connect()
  await client.query('BEGIN')
  const answers = await answer(mergeTransaction(client), statements)
  await client.query(isRefused(answers) ? 'ROLLBACK' : 'COMMIT')
  client.release()
  return answers
}

async function answerInSimulation(
  simulated: SimulatedDatabase,
  statements: readonly Statement[],
): Promise<unknown[]> {
  const transaction = simulated.begin()
  const answers = await answer(mergeStatements(simulated, transaction), statements)
  if (isRefused(answers)) simulated.rollback(transaction)
  else simulated.commit(transaction)
  return answers
}

/** What both hold, in one form. */
async function holdings(simulated: SimulatedDatabase): Promise<[unknown, unknown]> {
  const client = await database.pool.connect()
  const merge = mergeTransaction(client)
  const { rows: records } = await client.query<{ id: string }>('SELECT id, record FROM conflicts')
  const real = {
    states: await merge.lockStates([1, 2, 3, 4, 5]),
    claims: inOrder(await merge.readClaims(['a', 'b', 'C'])),
    conflicts: byId(records),
    sources: (await readSources(client)).sources.toSorted((a, b) => (a.actor < b.actor ? -1 : 1)),
    gaps: inOrder(await readGaps(client, 'c')),
    offsets: inOrder((await readOffsets(client, topic)).offsets),
  }
  client.release()
  const inMemory = {
    states: byId([...simulated.properties.committed.values()]),
    claims: inOrder(simulated.claims.committed),
    conflicts: byId([...simulated.conflicts.committed].map(([id, record]) => ({ id, record }))),
    sources: simulated.readSources().sources.toSorted((a, b) => (a.actor < b.actor ? -1 : 1)),
    gaps: inOrder(simulated.readGaps('c')),
    offsets: inOrder(simulated.readOffsets(topic).offsets),
  }
  return [inMemory, real]
}

test('the simulated database and PostgreSQL answer alike, and hold the same', async () => {
  const transactionsArbitrary = fc.array(fc.array(statementArbitrary, { minLength: 1, maxLength: 6 }), {
    minLength: 1,
    maxLength: 4,
  })
  await fc.assert(
    fc.asyncProperty(transactionsArbitrary, async (transactions) => {
      await reset()
      const simulated = simulate()
      for (const statements of transactions) {
        assert.deepEqual(await answerInSimulation(simulated, statements), await answerInPostgres(statements))
      }
      const [inMemory, real] = await holdings(simulated)
      assert.deepEqual(inMemory, real)
    }),
    { numRuns: 150 },
  )
})

test('a heartbeat does not vouch for a transaction that is still running', async () => {
  await database.events()
  const client = await database.pool.connect()
  await client.query('BEGIN')
  const { rows } = await client.query<{ xid: string }>('SELECT pg_current_xact_id()::text AS xid')
  const origin = { actor: 'us.a', since: '0/1', run: await beginRun(database.pool) }
  await emitHeartbeat(database.pool, origin)
  await client.query('COMMIT')
  client.release()
  await emitHeartbeat(database.pool, origin)
  const { rows: messages } = await database.pool.query<{ xmin: string }>(
    `SELECT convert_from(data, 'UTF8')::jsonb->>'xmin' AS xmin FROM (
       SELECT substring(data FROM position('{'::bytea IN data)) AS data FROM pg_logical_slot_get_binary_changes(
         $1, NULL, NULL, 'proto_version', '1', 'publication_names', 'meridian', 'messages', 'true')
     ) AS message WHERE data LIKE '%heartbeat%'::bytea`,
    [database.incarnation.slot],
  )
  const xid = BigInt(rows[0]?.xid ?? 0)
  assert.deepEqual(
    messages.map(({ xmin }) => BigInt(xmin) > xid),
    [false, true],
  )
})
