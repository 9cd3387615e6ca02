import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { canonicalJson, fingerprintOf } from './fingerprint.ts'

const path = '/properties/1'

test('a fingerprint is 43 characters that a column and a header can hold', () => {
  assert.match(fingerprintOf('PUT', path, { price: 1 }), /^[\w-]{43}$/)
})

test('the order of members and the spelling of numbers make no difference', () => {
  const one = fingerprintOf('PUT', path, JSON.parse('{"price": 1250000.50, "version": 1}'))
  const other = fingerprintOf('PUT', path, JSON.parse('{"version":1e0,"price":1.2500005E6}'))
  assert.equal(one, other)
})

test('method, path and every member make a difference', () => {
  const prints = [
    fingerprintOf('PUT', path, { price: 1, version: 1 }),
    fingerprintOf('POST', path, { price: 1, version: 1 }),
    fingerprintOf('PUT', '/properties/2', { price: 1, version: 1 }),
    fingerprintOf('PUT', path, { price: 2, version: 1 }),
    fingerprintOf('PUT', path, { price: '1', version: 1 }),
    fingerprintOf('PUT', path, { price: 1, version: 2 }),
    fingerprintOf('PUT', path, { price: 1, version: 1, updated_at: '2026-01-01T00:00:00Z' }),
  ]
  assert.equal(new Set(prints).size, prints.length)
})

test('canonical JSON says the same, and is the same however the members were ordered', () => {
  const reversed = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(reversed)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(
      Object.entries(value)
        .toReversed()
        .map(([key, member]) => [key, reversed(member)]),
    )
  }
  fc.assert(
    fc.property(fc.json(), (text) => {
      const value = JSON.parse(text) as unknown
      assert.equal(canonicalJson(reversed(value)), canonicalJson(value))
      assert.deepEqual(JSON.parse(canonicalJson(value)), JSON.parse(JSON.stringify(value)))
    }),
  )
})
