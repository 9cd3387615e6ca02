import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { conflictsArbitrary, seedState, statesArbitrary } from '../testing/arbitraries.ts'
import type { Acceptance, Claim } from './claim.ts'
import { decodeEtag, encodeEtag } from './etag.ts'
import { encodePropertyEvent, parseEvent } from './event.ts'
import { fieldNames, fieldTable } from './fields.ts'
import { formatTime, viewOf } from './property.ts'

test('an ETag names its vector, with or without quotes', () => {
  fc.assert(
    fc.property(statesArbitrary, ([{ vector }]) => {
      const etag = encodeEtag(vector)
      assert.match(etag, /^"[\x21\x23-\x7e]+"$/)
      assert.deepEqual(decodeEtag(etag), vector)
      assert.deepEqual(decodeEtag(etag.slice(1, -1)), vector)
    }),
  )
  for (const foreign of [
    '',
    '"',
    '""',
    '"abc"',
    'W/"seed"',
    '"us.a:0"',
    '"us.a:01"',
    '"us.a:1;"',
    '"us.a:1,eu.b:1"',
  ]) {
    assert.equal(decodeEtag(foreign), undefined, foreign)
  }
})

test('an event reads back as it was written, unknown members included', () => {
  fc.assert(
    fc.property(statesArbitrary, conflictsArbitrary, ([state], conflicts) => {
      const event = {
        actor: 'us.a',
        state: { ...state, extra: { garden: { size: 3 } } },
        conflicts,
        claims: [],
      }
      assert.deepEqual(parseEvent(encodePropertyEvent(event)), { type: 'property', ...event })
    }),
  )
})

test('a field overrules a member of its name that an older backend has left', () => {
  const state = { ...seedState(), extra: { deleted: true, garden: 1 } }
  const event = parseEvent(encodePropertyEvent({ actor: 'us.a', state, conflicts: [], claims: [] }))
  assert.deepEqual(event.type === 'property' && event.state, { ...seedState(), extra: { garden: 1 } })
})

test('an event of a release without deletion is of a live property', () => {
  const { property, ...rest } = JSON.parse(
    encodePropertyEvent({ actor: 'us.a', state: seedState(), conflicts: [], claims: [] }),
  )
  delete property.deleted
  const event = parseEvent(JSON.stringify({ property, ...rest }))
  assert.deepEqual(event.type === 'property' && event.state, seedState())
})

test('every field that the first release did not have says what an event without it means', () => {
  const first = ['price', 'bedrooms', 'bathrooms', 'title', 'description', 'status']
  const required = fieldNames.filter((name) => !('absent' in fieldTable[name]))
  assert.deepEqual(required, first, 'without `absent`, events of older releases would be quarantined')
})

test('content that cannot be stored is refused, a stamp is not refused for its time', () => {
  const text = (changes: object) =>
    JSON.stringify({
      ...JSON.parse(encodePropertyEvent({ actor: 'us.a', state: seedState(), conflicts: [], claims: [] })),
      ...changes,
    })
  const property = { id: 1, region_origin: 'us', ...seedState().fields }
  const stamp: readonly unknown[] = [1, 2, 'us.a', 3, 'r']
  const acceptance = {
    property: 1,
    actor: 'us.a',
    n: 1,
    fingerprint: 'f',
    status: 200,
    version: 2,
    etag: '"us.a:1"',
    xid: '700',
    t: 1,
  } satisfies Acceptance
  const claim = { request_id: 'r', acceptances: [acceptance] } satisfies Claim
  for (const refused of [
    { schema: 2 },
    { type: 'unknown' },
    { actor: 'nobody' },
    { vector: { 'us.a': -1 } },
    { property: { ...property, price: 1e15 } },
    { property: { ...property, price: 0.001 } },
    { property: { ...property, title: 'a\u0000b' } },
    { property: { ...property, title: '\ud800' } },
    { property: { ...property, id: 0 } },
    { property: [] },
    { vector: [] },
    { vector: null },
    { vector: { nobody: 1 } },
    { vector: { 'us.a': 0 } },
    { vector: { 'us.a': 1.5 } },
    { vector: { 'us.a': 2 ** 53 } },
    { vector: { [`us.${'a'.repeat(80)}`]: 1 } },
    { stamps: [] },
    { stamps: { price: {} } },
    { stamps: { price: [1, 2, 'us.a'] } },
    { stamps: { price: [...stamp, 'more'] } },
    { stamps: { price: stamp.with(0, -1) } },
    { stamps: { price: stamp.with(1, '2') } },
    { stamps: { price: stamp.with(2, 'nobody') } },
    { stamps: { price: stamp.with(3, 0.5) } },
    { stamps: { price: stamp.with(4, 'r'.repeat(201)) } },
    { stamps: JSON.parse(`{"__proto__": ${JSON.stringify(stamp)}}`) },
    { claims: {} },
    { claims: [null] },
    { claims: [{ ...claim, request_id: '' }] },
    { claims: [{ ...claim, request_id: 'r'.repeat(201) }] },
    { claims: [{ ...claim, acceptances: [] }] },
    ...Object.entries(acceptance).flatMap(([name, value]) =>
      [
        undefined,
        null,
        typeof value === 'string' ? 1 : '1',
        typeof value === 'string' ? '-'.repeat(1e5) : 0.5,
      ].map((wrong) => ({ claims: [{ ...claim, acceptances: [{ ...acceptance, [name]: wrong }] }] })),
    ),
  ]) {
    assert.throws(() => parseEvent(text(refused)), JSON.stringify(refused))
  }
  assert.throws(() => parseEvent('{'))
  assert.throws(() => parseEvent('null'))
  for (const taken of [
    {},
    { claims: [claim] },
    { vector: { 'us.a': 2 ** 53 - 1, 'eu-2.b': 1 } },
    { stamps: { price: [1, 9e15, 'us.a', 1, 'r'], garden: [0, 0, '', 0, ''] } },
    { claims: [{ ...claim, acceptances: [acceptance, { ...acceptance, later: 'member' }] }] },
  ]) {
    assert.doesNotThrow(() => parseEvent(text(taken)), JSON.stringify(taken))
  }
})

test('prices are exact to the cent up to the greatest', () => {
  const { schema } = fieldTable.price
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 99_999_999_999_999 }), (cents) => {
      const price = Number(`${Math.floor(cents / 100)}.${String(cents % 100).padStart(2, '0')}`)
      assert.equal(schema.parse(price), price)
    }),
  )
  for (const refused of [-0.01, 0.001, 1e12, Number.NaN, Number.POSITIVE_INFINITY, '1', null]) {
    assert.equal(schema.safeParse(refused).success, false, String(refused))
  }
})

test('times are ISO 8601 with microseconds', () => {
  assert.equal(formatTime(1_767_225_600_000_001), '2026-01-01T00:00:00.000001Z')
  assert.equal(formatTime(1_767_225_600_123_456), '2026-01-01T00:00:00.123456Z')
  assert.equal(viewOf(seedState()).updated_at, '2026-01-01T00:00:00.000000Z')
})
