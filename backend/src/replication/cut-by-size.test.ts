import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { conflictsArbitrary } from '../testing/arbitraries.ts'
import { cutBySize } from './merge-batch.ts'

test('records are cut into runs of bounded size, in order and without loss', () => {
  fc.assert(
    fc.property(conflictsArbitrary, fc.integer({ min: 0, max: 1000 }), (records, max) => {
      const runs = cutBySize(records, max)
      assert.deepEqual(runs.flat(), records)
      for (const run of runs) {
        const size = run.reduce((sum, record) => sum + JSON.stringify(record).length, 0)
        assert.ok(run.length === 1 || size <= max)
        assert.ok(run.length > 0)
      }
    }),
  )
})
