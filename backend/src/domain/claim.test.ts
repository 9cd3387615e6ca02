import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { actors } from '../testing/arbitraries.ts'
import { joinAcceptances, twinsOf, type Acceptance } from './claim.ts'
import { classifyConflict, conflictsOfClaim, joinConflicts, type ConflictRecord } from './conflict.ts'

/** One acceptance per actor and property: what is known of it never varies. */
const acceptanceArbitrary = fc
  .record({ actor: fc.constantFrom(...actors), property: fc.integer({ min: 1, max: 2 }) })
  .map(({ actor, property }): Acceptance => ({
    actor,
    property,
    n: 1,
    fingerprint: property === 1 ? 'same' : `other-${actor}`,
    status: 200,
    version: 2,
    etag: `"${actor}:1"`,
    xid: '700',
    t: actor.length * 10 + actors.indexOf(actor) * property,
  }))
const acceptancesArbitrary = fc.uniqueArray(acceptanceArbitrary, {
  selector: (acceptance) => `${acceptance.actor}/${acceptance.property}`,
  minLength: 1,
})
const sorted = (acceptances: readonly Acceptance[]) => joinAcceptances(acceptances, [])

test('claims unite: commutative, associative, idempotent', () => {
  fc.assert(
    fc.property(acceptancesArbitrary, acceptancesArbitrary, acceptancesArbitrary, (a, b, c) => {
      assert.deepEqual(joinAcceptances(a, b), joinAcceptances(b, a))
      assert.deepEqual(joinAcceptances(joinAcceptances(a, b), c), joinAcceptances(a, joinAcceptances(b, c)))
      assert.deepEqual(joinAcceptances(a, a), sorted(a))
    }),
  )
})

test('the twins of a growing claim only grow, and name their records alike in any order', () => {
  fc.assert(
    fc.property(acceptancesArbitrary, acceptancesArbitrary, (a, b) => {
      const [first, second] = [sorted(a), sorted(b)].map((acceptances) =>
        conflictsOfClaim({ request_id: 'r', acceptances }),
      )
      const united = conflictsOfClaim({ request_id: 'r', acceptances: joinAcceptances(a, b) })
      const ids = new Set(united.map((record) => record.id))
      for (const record of [...(first ?? []), ...(second ?? [])]) assert.ok(ids.has(record.id), record.id)
      assert.deepEqual(joinConflicts(first ?? [], second ?? [], united), joinConflicts(united))
    }),
  )
})

test('equal requests are duplicates, different ones a reused id', () => {
  const acceptance = { property: 1, n: 1, status: 200, version: 2, etag: '"x"', xid: '1' }
  const first = { ...acceptance, actor: 'us.a', fingerprint: 'f', t: 1 }
  const second = { ...acceptance, actor: 'eu.b', fingerprint: 'f', t: 2 }
  const kinds = (...acceptances: Acceptance[]) =>
    twinsOf({ request_id: 'r', acceptances }).map(({ kind }) => kind)
  assert.deepEqual(kinds(first), [])
  assert.deepEqual(kinds(first, second), ['duplicate'])
  assert.deepEqual(kinds(first, { ...second, fingerprint: 'g' }), ['request_id_reused'])
})

test('a loss whose request was also accepted elsewhere is a duplicate, not a conflict', () => {
  const record: ConflictRecord = {
    id: '1/price/eu.b/1',
    property_id: 1,
    group: 'price',
    kind: 'concurrent',
    value: { price: 7 },
    stamp: [1, 2, 'eu.b', 1, 'r'],
    resolution: null,
  }
  const acceptance = {
    property: 1,
    n: 1,
    fingerprint: 'f',
    status: 200,
    version: 2,
    etag: '"x"',
    xid: '1',
    t: 1,
  }
  const own = { ...acceptance, actor: 'eu.b' }
  const twin = { ...acceptance, actor: 'us.a' }
  const kindWith = (...acceptances: Acceptance[]) =>
    classifyConflict(record, new Map([['r', { request_id: 'r', acceptances }]])).kind
  assert.equal(kindWith(own, twin), 'duplicate')
  assert.equal(kindWith(own), 'concurrent')
  assert.equal(kindWith(own, { ...twin, fingerprint: 'g' }), 'concurrent')
  assert.equal(classifyConflict(record, new Map()).kind, 'concurrent')
})
