import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import fc from 'fast-check'
import type { Claim } from '../domain/claim.ts'
import { joinConflicts, type ConflictRecord } from '../domain/conflict.ts'
import type { PropertyEvent } from '../domain/event.ts'
import { detectConflicts, joinStates } from '../domain/merge.ts'
import type { PropertyState } from '../domain/property.ts'
import { readConflictsOf, readOpenConflicts } from '../postgres/read-conflicts.ts'
import { readClaims } from '../postgres/merge-claims.ts'
import { openMergeSession } from '../postgres/merge-session.ts'
import { readProperties } from '../postgres/read-properties.ts'
import { actors, seedFields, seedState, statesArbitrary, write } from '../testing/arbitraries.ts'
import { useTestDatabase } from '../testing/database.ts'
import { foldEvents } from './fold.ts'
import { encodeBatch, mergeBatch, type MergeCounts } from './merge-batch.ts'

const database = useTestDatabase()
const reset = async (): Promise<void> => {
  await database.pool.query('TRUNCATE claims, conflicts')
  await database.pool.query('DELETE FROM properties WHERE id > 10')
  const { price, bedrooms, bathrooms, title, description, status, deleted } = seedFields
  await database.pool.query(
    `UPDATE properties SET (price, bedrooms, bathrooms, title, description, status, deleted, vector, stamps, extra, version) =
       ($1, $2, $3, $4, $5, $6, $7, '{}', '{}', '{}', 1)`,
    [price, bedrooms, bathrooms, title, description, status, deleted],
  )
  await database.events()
}
beforeEach(reset)

const event = (state: PropertyState, changes: Partial<PropertyEvent> = {}): PropertyEvent => ({
  type: 'property',
  actor: actors[1],
  state,
  conflicts: [],
  claims: [],
  ...changes,
})

async function merge(...events: PropertyEvent[]): Promise<MergeCounts> {
  const batch = encodeBatch(foldEvents(events))
  const session = await openMergeSession(database.url)
  try {
    return await session.transaction((transaction) =>
      mergeBatch(transaction, database.incarnation.actor, batch),
    )
  } finally {
    session.close()
  }
}
const read = async (id = 1) => (await readProperties(database.pool, [{ id }])).get(id)
const conflicts = async (id = 1) => joinConflicts((await readConflictsOf(database.pool, id)) ?? [])

test('merging in the database is the domain’s join, one by one or in batches, again and again', async () => {
  await fc.assert(
    fc.asyncProperty(statesArbitrary, fc.boolean(), async ([local, b, c], together) => {
      await reset()
      await merge(event(local))
      const arriving = [event(b), event(c), event(b)]
      if (together) await merge(...arriving)
      else for (const each of arriving) await merge(each)
      const expected = joinStates(joinStates(local, b), c)
      assert.deepEqual(await read(), expected)
      const known = await conflicts()
      const merged = together ? (foldEvents(arriving).properties[0]?.states ?? []) : [b, c, b]
      let state = local
      const detected = merged.flatMap((next) => {
        const losses = detectConflicts(state, next)
        state = joinStates(state, next)
        return losses
      })
      assert.deepEqual(known, joinConflicts(detected))
      const counts = await merge(...arriving)
      assert.deepEqual([counts.applied, counts.merged, counts.conflicts], [0, 0, []])
      assert.deepEqual(await read(), expected)
      assert.deepEqual(await conflicts(), known)
    }),
    { numRuns: 100 },
  )
})

test('concurrent writes of different fields are both kept, without a conflict', async () => {
  await merge(event(write(seedState(), { actor: 0, changes: { price: 7 }, skew: 0 }, 1)))
  const counts = await merge(event(write(seedState(), { actor: 1, changes: { title: 'b' }, skew: 0 }, 2)))
  assert.deepEqual([counts.merged, counts.conflicts], [1, []])
  const state = await read()
  assert.deepEqual(
    [state?.fields.price, state?.fields.title, state?.vector],
    [7, 'b', { 'us.a': 1, 'eu.b': 1 }],
  )
  assert.deepEqual(await database.events(), [])
})

test('a loss is recorded and sent on with the state, once', async () => {
  const loser = write(seedState(), { actor: 0, changes: { price: 7 }, skew: 0 }, 1, 'losing-request')
  const winner = write(seedState(), { actor: 1, changes: { price: 8 }, skew: 0 }, 2)
  await merge(event(loser))
  const counts = await merge(event(winner))
  assert.equal(counts.conflicts.length, 1)
  const [record] = await conflicts()
  assert.equal(record?.id, '1/price/us.a/1')
  assert.deepEqual(
    [record?.kind, record?.value, record?.stamp[4]],
    ['concurrent', { price: 7 }, 'losing-request'],
  )
  const emitted = await database.events()
  assert.equal(emitted.length, 1)
  const [again] = emitted
  assert.ok(again?.type === 'property')
  assert.deepEqual(again.state, await read())
  assert.deepEqual(again.conflicts, [record])
  assert.equal(again.actor, database.incarnation.actor)
  await merge(event(winner), event(loser))
  assert.deepEqual(await database.events(), [])
  assert.deepEqual(await readOpenConflicts(database.pool, 100), [record])
})

test('what a delete hides is recorded in either order, and sent on', async () => {
  const update = write(seedState(), { actor: 0, changes: { price: 7 }, skew: 0 }, 1, 'hidden-request')
  const removal = write(seedState(), { actor: 1, changes: { deleted: true }, skew: 0 }, 2)
  for (const order of [
    [update, removal],
    [removal, update],
  ]) {
    await reset()
    for (const state of order) await merge(event(state))
    const [record, ...others] = await conflicts()
    assert.deepEqual(others, [])
    assert.deepEqual(
      [record?.id, record?.kind, record?.value, record?.stamp[4]],
      ['1/price/us.a/1', 'concurrent', { price: 7 }, 'hidden-request'],
    )
    const emitted = await database.events()
    assert.deepEqual(
      emitted.map((each) => each.type === 'property' && [each.state.fields.deleted, each.conflicts]),
      [[true, [record]]],
    )
  }
})

test('a record that arrives is stored and sent on, and its own return changes nothing', async () => {
  const state = write(seedState(), { actor: 1, changes: { price: 8 }, skew: 0 }, 2)
  const record: ConflictRecord = {
    id: '1/price/ap.c/1',
    property_id: 1,
    group: 'price',
    kind: 'concurrent',
    value: { price: 3 },
    stamp: [1, 5, 'ap.c', 1, 'r'],
    resolution: null,
  }
  await merge(event(state, { conflicts: [record] }))
  assert.deepEqual(await conflicts(), [record])
  assert.equal((await database.events()).length, 1)
  const resolved = { ...record, resolution: { resolved: true, stamp: [1, 9, 'eu.b', 2, 's'] as const } }
  await merge(event(state, { conflicts: [resolved] }))
  assert.deepEqual(await readOpenConflicts(database.pool, 100), [])
  await merge(event(state, { conflicts: [record] }))
  assert.deepEqual(await conflicts(), [resolved])
})

const claim = (actor: string, property: number, fingerprint: string, t: number): Claim => ({
  request_id: 'shared',
  acceptances: [{ property, actor, n: 1, fingerprint, status: 200, version: 2, etag: '"x"', xid: '9', t }],
})

test('two acceptances of one request unite, and become a record in every order', async () => {
  const orders = [
    [claim('us.a', 1, 'f', 1), claim('eu.b', 2, 'g', 2)],
    [claim('eu.b', 2, 'g', 2), claim('us.a', 1, 'f', 1)],
  ] as const
  const seen: unknown[] = []
  for (const [first, second] of orders) {
    await reset()
    const stateOf = (id: number) =>
      write(seedState(id), { actor: id - 1, changes: { price: 7 }, skew: 0 }, id)
    for (const each of [first, second, first]) {
      const id = each.acceptances[0]?.property ?? 0
      await merge(event(stateOf(id), { claims: [each] }))
    }
    const claims = await readClaims(database.pool as never, ['shared'])
    assert.equal(claims.get('shared')?.acceptances.length, 2)
    seen.push([claims, await conflicts(1), await conflicts(2)])
  }
  assert.deepEqual(seen[0], seen[1])
  const [record] = await conflicts(2)
  assert.deepEqual([record?.kind, record?.group], ['request_id_reused', 'request'])
})

test('two acceptances of one request that arrive in one batch are recorded too', async () => {
  const stateOf = (id: number) => write(seedState(id), { actor: id - 1, changes: { price: 7 }, skew: 0 }, id)
  await merge(
    event(stateOf(1), { claims: [claim('us.a', 1, 'f', 1)] }),
    event(stateOf(2), { claims: [claim('eu.b', 2, 'f', 2)] }),
  )
  assert.deepEqual(
    (await conflicts(2)).map(({ group, kind }) => [group, kind]),
    [['request', 'duplicate']],
  )
})

test('a value lost to a write that saw its twin is a duplicate and stays out of the inbox', async () => {
  const us = write(seedState(), { actor: 0, changes: { price: 7 }, skew: 0 }, 1, 'shared')
  const eu = write(seedState(), { actor: 1, changes: { price: 7 }, skew: 0 }, 2, 'shared')
  const later = write(us, { actor: 0, changes: { price: 9 }, skew: 0 }, 3)
  await merge(event(us, { claims: [claim('us.a', 1, 'f', 1)] }), event(later))
  await merge(event(eu, { claims: [claim('eu.b', 1, 'f', 2)] }))
  assert.equal((await read())?.fields.price, 9)
  assert.deepEqual(
    (await conflicts()).map(({ group, kind }) => [group, kind]),
    [
      ['price', 'duplicate'],
      ['request', 'duplicate'],
    ],
  )
  assert.deepEqual(await readOpenConflicts(database.pool, 100), [])
})

test('a property that is new here is inserted, whatever its text', async () => {
  const title = '“ünïcode” 🏡 \\ \' " $1 %s'
  const state = write(seedState(77), { actor: 1, changes: { title }, skew: 0 }, 1)
  const extra = { garden: { size: 3 } }
  await merge(event({ ...state, extra }))
  assert.deepEqual(await read(77), { ...state, extra })
})
