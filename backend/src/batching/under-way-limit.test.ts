import assert from 'node:assert/strict'
import { test } from 'node:test'
import { targetMs, UnderWayLimit, underWayMin } from './under-way-limit.ts'

const max = 512

/** A service of a constant rate, always as full as the limit lets it be. */
function serve(limit: UnderWayLimit, perSecond: number, requests: number): void {
  for (let n = 0; n < requests; n++) limit.observe(limit.value - 1, ((limit.value - 1) / perSecond) * 1_000)
}

test('it begins at its greatest, and stays there while everything is answered in time', () => {
  const limit = new UnderWayLimit(max)
  assert.equal(limit.value, max)
  serve(limit, 5_000, 10_000)
  assert.equal(limit.value, max)
})

test('at any rate it lets in what is answered in time, and comes back when the rate does', () => {
  const limit = new UnderWayLimit(max)
  for (const perSecond of [1_500, 500, 1_000, 300]) {
    serve(limit, perSecond, 1_000)
    const expected = (perSecond * targetMs) / 1_000
    assert.ok(Math.abs(limit.value - expected) < expected / 20, `${limit.value} at ${perSecond}/s`)
  }
  serve(limit, 10_000, 1_000)
  assert.equal(limit.value, max)
})

test('it never shuts the door, and single slow requests do not move it', () => {
  const limit = new UnderWayLimit(max)
  for (let n = 0; n < 1_000; n++) limit.observe(3, 10_000)
  assert.equal(limit.value, max)
  serve(limit, 1, 10_000)
  assert.equal(limit.value, underWayMin)
  serve(limit, 10_000, 1_000)
  assert.equal(limit.value, max)
})
