import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inTurns, judge, type Row } from './figure.ts'
import { median, percentile, spread, threeDigits } from './statistics.ts'

test('the median is the middle value, or lies between the two in the middle', () => {
  assert.equal(median([3, 1, 2]), 2)
  assert.equal(median([4, 1, 2, 3]), 2.5)
  assert.throws(() => median([]))
})

test('percentiles lie between values in proportion', () => {
  const values = Array.from({ length: 101 }, (_, index) => 100 - index)
  assert.equal(percentile(values, 0.99), 99)
  assert.equal(percentile([10, 20], 0.25), 12.5)
  assert.deepEqual(spread([2, 3, 1]), [1, 3])
})

test('numbers are told with three digits', () => {
  assert.equal(threeDigits(13_412), '13,400')
  assert.equal(threeDigits(0.98765), '0.988')
  assert.equal(threeDigits(4), '4')
})

test('ratios are those of each round, not of the medians', () => {
  const row: Row = {
    title: 'writes',
    unit: '/s',
    values: [100, 300, 200],
    anchor: { title: 'pgbench', values: [100, 200, 400] },
    goal: { atLeast: 1 },
  }
  assert.deepEqual(judge(row), { value: 200, anchor: 200, judged: 1, spread: [0.5, 1.5], met: true })
  assert.equal(judge({ ...row, goal: { atMost: 0.9 } }).met, false)
})

test('without an anchor the values are judged, without a goal nothing is', () => {
  const row: Row = { title: 'start', unit: 's', values: [9], goal: { atMost: 10 } }
  assert.equal(judge(row).met, true)
  assert.equal(judge({ title: 'start', unit: 's', values: [9] }).met, undefined)
})

test('whoever was first in a round is second in the next', async () => {
  const order: string[] = []
  const record = (name: string, value: number) => async () => {
    order.push(name)
    return value
  }
  const result = await inTurns({ rounds: 3, say: () => {} }, record('ours', 1), record('anchor', 2))
  assert.deepEqual(order, ['ours', 'anchor', 'anchor', 'ours', 'ours', 'anchor'])
  assert.deepEqual(result, { values: [1, 1, 1], anchors: [2, 2, 2] })
})
