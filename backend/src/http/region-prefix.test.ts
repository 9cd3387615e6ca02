import assert from 'node:assert/strict'
import { test } from 'node:test'
import { splitRegion } from './region-prefix.ts'

test('a path is split after the prefix of a known region, as a whole and once', () => {
  for (const [target, region, path] of [
    ['/us/properties/1?x=/eu/', 'us', '/properties/1?x=/eu/'],
    ['/us', 'us', '/'],
    ['/us/', 'us', '/'],
    ['/us?x=1', 'us', '/?x=1'],
    ['/us/us/health', 'us', '/us/health'],
    ['/us-west/health', 'us-west', '/health'],
    ['/user/health', undefined, '/user/health'],
    ['/US/health', undefined, '/US/health'],
    ['/health', undefined, '/health'],
    ['//us/health', undefined, '//us/health'],
    ['/', undefined, '/'],
  ] as const) {
    assert.deepEqual(splitRegion(target, ['us', 'eu', 'us-west']), { region, path }, target)
  }
})
