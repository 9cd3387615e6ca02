import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findProblems, sum } from './checks.ts'
import type { PutResult } from './load/wrk.ts'

const result: PutResult = {
  sent: 10,
  ok: 7,
  refused: 2,
  busy: 0,
  other: 0,
  wrong: 0,
  errors: 0,
  seconds: 1,
  p50Ms: 1,
  p99Ms: 1,
  acknowledged: [
    [1, 4],
    [2, 3],
  ],
}
const before = new Map([[1, 5]])

test('a load is right if every property has its acknowledged writes', () => {
  const after = new Map([
    [1, 9],
    [2, 4],
  ])
  assert.deepEqual(findProblems(result, before, after), [])
  assert.equal(sum(after) - sum(before), 7)
})

test('a request under way at the end may have been accepted, two were not there', () => {
  const properties = (third: number) =>
    new Map([
      [1, 9],
      [2, 4],
      [3, third],
    ])
  assert.deepEqual(findProblems(result, before, properties(2)), [])
  assert.deepEqual(findProblems(result, before, properties(3)), [
    '2 writes done unseen, 1 requests without an outcome',
  ])
})

test('an acknowledged write that is not there, and answers that should not be', () => {
  const lost = new Map([
    [1, 8],
    [2, 4],
  ])
  assert.deepEqual(findProblems(result, before, lost), ['property 1: 4 writes acknowledged, 3 done'])
  const odd = { ...result, other: 1, wrong: 1, errors: 1, ok: 0, acknowledged: [] }
  assert.equal(findProblems(odd, before, before).length, 4)
})
