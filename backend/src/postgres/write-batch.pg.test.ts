import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import fc from 'fast-check'
import type { PropertyEvent } from '../domain/event.ts'
import { encodeEtag } from '../domain/etag.ts'
import { joinStates } from '../domain/merge.ts'
import { viewOf, type PropertyState } from '../domain/property.ts'
import { versionOf } from '../domain/stamp.ts'
import { acceptedStatus, decideWrite, type WriteOutcome, type WriteRequest } from '../domain/write.ts'
import { changesArbitrary, seedState, write } from '../testing/arbitraries.ts'
import { useTestDatabase } from '../testing/database.ts'
import { encodeStates, mergeStates } from './merge-states.ts'
import { readProperties } from './read-properties.ts'
import { explainRefusals, writeBatch } from './write-batch.ts'

const database = useTestDatabase()
let requestCount = 0

beforeEach(async () => {
  await database.pool.query(
    'UPDATE properties SET vector = $1, stamps = $1, version = 1, extra = $1, deleted = false',
    ['{}'],
  )
  await database.pool.query('TRUNCATE claims')
  await database.events()
})

const request = (changes: Partial<WriteRequest>): WriteRequest => ({
  id: 1,
  requestId: `request-${requestCount++}`,
  fingerprint: 'fingerprint',
  guard: { version: 1 },
  changes: { price: 5 },
  ...changes,
})
/** `undecided`: without effect, for a reason that has passed. */
type Outcome = WriteOutcome | { kind: 'undecided' }
async function batchNow(requests: readonly WriteRequest[]): Promise<readonly Outcome[]> {
  const accepted = await writeBatch(database.pool, database.incarnation.actor, requests)
  const refusals = await explainRefusals(database.pool, requests)
  return requests.map(({ id }, index) => {
    const property = accepted.get(id)
    return property ? { kind: 'accepted', property } : (refusals[index] ?? { kind: 'undecided' })
  })
}
const writeNow = async (changes: Partial<WriteRequest>): Promise<Outcome> =>
  (await batchNow([request(changes)]))[0] as Outcome
const read = async (id = 1): Promise<PropertyState> => {
  const state = (await readProperties(database.pool, [{ id }])).get(id)
  assert.ok(state)
  return state
}
const claimCount = async (): Promise<number> =>
  (await database.pool.query<{ count: number }>('SELECT count(*) FROM claims')).rows[0]?.count ?? -1

const propertyIds = [1, 2, 3, 4]
const guardKinds = ['version', 'etag', 'if-match', 'all', 'stale version', 'stale etag'] as const
type GuardKind = (typeof guardKinds)[number]

type Step =
  | { kind: 'batch'; writes: readonly { id: number; changes: object; guard: GuardKind }[] }
  | { kind: 'merge'; id: number; changes: object; actor: number; skew: number }

const idArbitrary = fc.constantFrom(...propertyIds)

const stepsArbitrary: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('batch' as const),
        writes: fc.uniqueArray(
          fc.record({ id: idArbitrary, changes: changesArbitrary, guard: fc.constantFrom(...guardKinds) }),
          { selector: ({ id }) => id, minLength: 1 },
        ),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('merge' as const),
        id: idArbitrary,
        changes: changesArbitrary,
        actor: fc.integer({ min: 1, max: 2 }),
        skew: fc.constantFrom(0, 3_600_000_000),
      }),
    },
  ),
  { minLength: 1, maxLength: 6 },
)

function guardOf(kind: GuardKind, state: PropertyState): WriteRequest['guard'] {
  const version = versionOf(state.vector)
  const etag = encodeEtag(state.vector)
  switch (kind) {
    case 'version':
      return { version }
    case 'etag':
      return { etag }
    case 'if-match':
      return { ifMatch: ['"us.other:1"', etag] }
    case 'all':
      return { version, etag, ifMatch: '*' }
    case 'stale version':
      return { version: version + 1, ifMatch: [etag] }
    case 'stale etag':
      return { version, ifMatch: ['"us.other:1"'] }
  }
}

test('the statement and decideWrite take the same decisions, rows and events alike', async () => {
  const { actor } = database.incarnation
  await fc.assert(
    fc.asyncProperty(stepsArbitrary, async (steps) => {
      await database.pool.query(
        `UPDATE properties SET (price, bedrooms, bathrooms, title, description, status, deleted, vector, stamps, version) =
           (100000, 2, 1.5, 'Seed', 'A seed.', 'active', false, '{}', '{}', 1) WHERE id = ANY ($1)`,
        [propertyIds],
      )
      await database.events()
      const states = new Map(propertyIds.map((id) => [id, seedState(id)]))
      const stateNow = (id: number): PropertyState => states.get(id) as PropertyState
      let time = 0
      for (const step of steps) {
        if (step.kind === 'merge') {
          const merged = joinStates(stateNow(step.id), write(stateNow(step.id), step, time++))
          states.set(step.id, merged)
          const client = await database.pool.connect()
          assert.ok((await mergeStates(client, encodeStates([merged]))).has(step.id))
          client.release()
          continue
        }
        const asked = step.writes.map(({ id, changes, guard }) =>
          request({ id, changes, guard: guardOf(guard, stateNow(id)) }),
        )
        const outcomes = await batchNow(asked)
        const events = (await database.events()) as readonly PropertyEvent[]
        const eventsLeft = new Map(events.map((event) => [event.state.id, event]))
        for (const [index, one] of asked.entries()) {
          const event = eventsLeft.get(one.id)
          eventsLeft.delete(one.id)
          const t = event?.claims[0]?.acceptances[0]?.t ?? 0
          const expected = decideWrite(stateNow(one.id), one, { actor, t })
          if (typeof expected === 'string') {
            assert.deepEqual(outcomes[index], { kind: expected, current: viewOf(stateNow(one.id)) })
            assert.equal(event, undefined)
            continue
          }
          assert.deepEqual(outcomes[index], { kind: 'accepted', property: viewOf(expected) })
          assert.deepEqual(await read(one.id), expected)
          assertEvent(event, expected, one, actor)
          states.set(one.id, expected)
        }
        assert.equal(eventsLeft.size, 0)
        assert.equal(events.length, new Set(events.map((event) => event.state.id)).size)
      }
    }),
    { numRuns: 150 },
  )
})

function assertEvent(
  event: PropertyEvent | undefined,
  state: PropertyState,
  asked: WriteRequest,
  actor: string,
): void {
  assert.ok(event)
  assert.deepEqual(event.state, state)
  assert.deepEqual(event.conflicts, [])
  assert.equal(event.actor, actor)
  const [claim, ...others] = event.claims
  assert.deepEqual(others, [])
  assert.equal(claim?.request_id, asked.requestId)
  const acceptance = claim?.acceptances[0]
  assert.ok(acceptance && /^\d+$/.test(acceptance.xid) && acceptance.t > 1.7e15)
  assert.deepEqual(
    { ...acceptance, xid: '', t: 0 },
    {
      property: state.id,
      actor,
      n: state.vector[actor],
      fingerprint: asked.fingerprint,
      status: acceptedStatus(asked.changes),
      version: versionOf(state.vector),
      etag: encodeEtag(state.vector),
      xid: '',
      t: 0,
    },
  )
}

test('one request id on ten properties at once takes effect once', async () => {
  const ids = Array.from({ length: 10 }, (_, index) => index + 1)
  const outcomes = await Promise.all(ids.map((id) => writeNow({ id, requestId: 'the-same' })))
  const kinds = outcomes.map((outcome) => outcome.kind).toSorted()
  assert.deepEqual(kinds, ['accepted', ...Array<string>(9).fill('duplicate_request')])
  const states = await Promise.all(ids.map(read))
  assert.equal(states.filter((state) => versionOf(state.vector) === 2).length, 1)
  assert.equal((await database.events()).length, 1)
})

test('of concurrent writes with one version exactly one is accepted, and the others are told the state', async () => {
  const outcomes = await Promise.all(
    Array.from({ length: 25 }, (_, n) => writeNow({ changes: { price: n + 1 } })),
  )
  const accepted = outcomes.filter((outcome) => outcome.kind === 'accepted')
  assert.equal(accepted.length, 1)
  const current = viewOf(await read())
  assert.equal(current.version, 2)
  for (const outcome of outcomes) {
    if (outcome.kind !== 'accepted') assert.deepEqual(outcome, { kind: 'version_conflict', current })
  }
  assert.equal(await claimCount(), 1)
})

test('a refused write leaves nothing behind, and its request id free', async () => {
  const untouched = await read()
  assert.equal((await writeNow({ requestId: 'free', id: 999 })).kind, 'not_found')
  assert.equal((await writeNow({ requestId: 'free', guard: { version: 7 } })).kind, 'version_conflict')
  assert.equal(
    (await writeNow({ requestId: 'free', guard: { ifMatch: ['"x"'] } })).kind,
    'precondition_failed',
  )
  assert.deepEqual(await read(), untouched)
  assert.equal(await claimCount(), 0)
  assert.deepEqual(await database.events(), [])
  assert.equal((await writeNow({ requestId: 'free' })).kind, 'accepted')
})

test('refusals come in the order of the contract: 422, 404, 412, 409', async () => {
  const original = await writeNow({ requestId: 'used' })
  assert.equal(original.kind, 'accepted')
  const again = await writeNow({ requestId: 'used', id: 999, guard: { version: 9, ifMatch: ['"x"'] } })
  assert.equal(again.kind, 'duplicate_request')
  assert.equal(again.kind === 'duplicate_request' && again.original.version, 2)
  const other = await writeNow({ requestId: 'used', fingerprint: 'other' })
  assert.equal(other.kind, 'request_id_reused')
  assert.equal((await writeNow({ id: 999, guard: { ifMatch: ['"x"'] } })).kind, 'not_found')
  const both = await writeNow({ guard: { version: 9, ifMatch: ['"x"'] } })
  assert.equal(both.kind, 'precondition_failed')
})

test('a deleted property takes no write but one that restores it, and refusals leave the request id free', async () => {
  assert.equal((await writeNow({ requestId: 'gone', changes: { deleted: true } })).kind, 'accepted')
  const again = await writeNow({ requestId: 'gone', changes: { deleted: true } })
  assert.equal(again.kind === 'duplicate_request' && again.original.status, 204)
  const current = viewOf(await read())
  for (const refused of [
    { changes: { price: 9 }, guard: { version: 2 } },
    { changes: { deleted: true }, guard: { ifMatch: '*' } },
    { changes: { price: 9 }, guard: { version: 1, ifMatch: ['"x"'] } },
  ] as const) {
    assert.deepEqual(await writeNow({ requestId: 'free', ...refused }), { kind: 'deleted', current })
  }
  const stale = await writeNow({ requestId: 'free', changes: { deleted: false } })
  assert.deepEqual(stale, { kind: 'version_conflict', current })
  assert.equal(await claimCount(), 1)
  const guard = { etag: current.etag }
  const restored = await writeNow({ requestId: 'free', changes: { deleted: false, price: 9 }, guard })
  assert.deepEqual([restored.kind, viewOf(await read()).price], ['accepted', 9])
})

test('equal values are accepted with a new version and no new stamp', async () => {
  await writeNow({ changes: { price: 5 } })
  const untouched = await read()
  const outcome = await writeNow({ changes: { price: 5 }, guard: { version: 2 } })
  assert.equal(outcome.kind, 'accepted')
  const state = await read()
  assert.equal(versionOf(state.vector), 3)
  assert.deepEqual(state.stamps, untouched.stamps)
})

test('a write rolls back whole if its transaction does', async () => {
  const client = await database.pool.connect()
  await client.query('BEGIN')
  const accepted = await writeBatch(client, database.incarnation.actor, [request({})])
  assert.equal(accepted.get(1)?.version, 2)
  await client.query('ROLLBACK')
  client.release()
  assert.equal(versionOf((await read()).vector), 1)
  assert.equal(await claimCount(), 0)
  assert.deepEqual(await database.events(), [])
})

test('a batch leaves out the rows that others hold and decides the rest; alone a write waits', async () => {
  const holder = await database.pool.connect()
  await holder.query('BEGIN')
  await holder.query('SELECT FROM properties WHERE id = 2 FOR UPDATE')
  const held = request({ id: 2 })
  const outcomes = await batchNow([request({ id: 1 }), held, request({ id: 3, guard: { version: 9 } })])
  assert.deepEqual(
    outcomes.map(({ kind }) => kind),
    ['accepted', 'undecided', 'version_conflict'],
  )
  const waiting = batchNow([held])
  await holder.query('ROLLBACK')
  holder.release()
  assert.deepEqual((await waiting)[0]?.kind, 'accepted')
})

test('unguarded writes that meet all count, one after the other', async () => {
  const outcomes = await Promise.all(
    Array.from({ length: 25 }, (_, n) => writeNow({ guard: { ifMatch: '*' }, changes: { price: n + 1 } })),
  )
  const versions = outcomes.map((outcome) => (outcome.kind === 'accepted' ? outcome.property.version : 0))
  assert.deepEqual(
    versions.toSorted((a, b) => a - b),
    Array.from({ length: 25 }, (_, n) => n + 2),
  )
})

test('batches with the same properties and request ids in opposite orders never deadlock', async () => {
  const ids = [1, 2, 3, 4, 5]
  for (let round = 0; round < 40; round++) {
    const asked = ids.map((id) =>
      request({ id, requestId: `round ${round} of ${(id * 2) % 5}`, guard: { ifMatch: '*' } }),
    )
    const outcomes = await Promise.all([asked, asked.toReversed(), asked].map(batchNow))
    const accepted = outcomes.flat().filter(({ kind }) => kind === 'accepted')
    assert.equal(accepted.length, ids.length)
  }
})

test('refusals go on being explained on a connection that is older than a column', async () => {
  const client = await database.pool.connect()
  const explained = async () => (await explainRefusals(client, [request({ guard: { version: 9 } })]))[0]?.kind
  try {
    assert.equal(await explained(), 'version_conflict')
    await database.pool.query('ALTER TABLE properties ADD COLUMN later integer NOT NULL DEFAULT 0')
    assert.equal(await explained(), 'version_conflict')
  } finally {
    await database.pool.query('ALTER TABLE properties DROP COLUMN IF EXISTS later')
    client.release()
  }
})

test('an event has the value of the column, whatever an older backend has left beside it', async () => {
  await database.pool.query(`UPDATE properties SET extra = '{"deleted": true, "garden": 1}' WHERE id = 1`)
  assert.equal((await writeNow({})).kind, 'accepted')
  const [event] = await database.events()
  assert.ok(event?.type === 'property')
  assert.equal(event.state.fields.deleted, false)
  assert.deepEqual(event.state.extra, { garden: 1 })
})
