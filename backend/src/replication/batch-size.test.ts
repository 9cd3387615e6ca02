import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applierBatchBounds, BatchSize } from './batch-size.ts'

const learnFull = (size: BatchSize, elapsedMs: number): void =>
  size.learn({ records: size.max, max: size.max, elapsedMs })

/** The size that full batches settle at when a record costs `msPerRecord`. */
function settled(msPerRecord: number): number {
  const size = new BatchSize(applierBatchBounds)
  for (let batch = 0; batch < 20; batch++) learnFull(size, size.max * msPerRecord)
  return size.max
}

test('full batches settle at what takes 100 ms', () => {
  assert.equal(settled(0.05), 2000)
  assert.equal(settled(0.25), 400)
})

test('the size stays within its bounds', () => {
  assert.equal(settled(0.001), applierBatchBounds.max)
  assert.equal(settled(0), applierBatchBounds.max)
  assert.equal(settled(100), applierBatchBounds.min)
})

test('where the transaction itself is slow, batches stay large enough to keep up', () => {
  const elapsedMs = (records: number): number => 200 + 0.5 * records
  const size = new BatchSize(applierBatchBounds)
  for (let batch = 0; batch < 20; batch++) learnFull(size, elapsedMs(size.max))
  const perSecond = size.max / (elapsedMs(size.max) / 1_000)
  assert.ok(perSecond > 600, `${perSecond} records/s`)
})

test('a small batch that is quick changes nothing, one that is slow does', () => {
  const size = new BatchSize(applierBatchBounds)
  const before = size.max
  size.learn({ records: 10, max: before, elapsedMs: 5 })
  assert.equal(size.max, before)
  size.learn({ records: 20, max: before, elapsedMs: 125 })
  assert.equal(size.max, before * 0.8)
})

test('a batch that was taken before the size changed tells of the size that it had', () => {
  const size = new BatchSize(applierBatchBounds)
  const taken = { records: size.max, max: size.max, elapsedMs: 125 }
  size.learn(taken)
  const { max } = size
  size.learn(taken)
  assert.equal(size.max, max)
})
