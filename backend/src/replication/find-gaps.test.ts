import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findGaps } from './find-gaps.ts'

const ranges = [{ earliest: 5n, latest: 9n }]

test('continues where it left off, up to the end', () => {
  for (const offset of [5n, 7n, 9n]) {
    assert.deepEqual(findGaps(ranges, new Map([[0, offset]]), false), {
      positions: new Map([[0, offset]]),
      gap: undefined,
    })
  }
})

test('begins a whole topic at its start', () => {
  const { positions, gap } = findGaps([{ earliest: 0n, latest: 3n }], new Map(), false)
  assert.deepEqual([positions.get(0), gap], [0n, undefined])
})

for (const [what, stored, replaced] of [
  ['expired records', new Map([[0, 4n]]), false],
  ['a first contact after records have expired', new Map<number, bigint>(), false],
  ['a log that ends before the stored offset', new Map([[0, 10n]]), false],
] as const) {
  test(`${what}: from the earliest, with a gap`, () => {
    const found = findGaps(ranges, stored, replaced)
    assert.equal(found.positions.get(0), 5n)
    assert.match(found.gap ?? '', /partition 0/)
  })
}

test('a topic that was made anew is a gap even if all of it is there', () => {
  const found = findGaps([{ earliest: 0n, latest: 3n }], new Map(), true)
  assert.equal(found.positions.get(0), 0n)
  assert.match(found.gap ?? '', /made again/)
})
