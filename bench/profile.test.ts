import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { join } from 'node:path'
import { projectRoot } from '../local/paths.ts'
import { selfTimes } from './profile.ts'

test('samples become the time of each function itself, without the idle time', () => {
  const frame = (id: number, functionName: string, path?: string) => ({
    id,
    callFrame: {
      functionName,
      url: path === undefined ? '' : pathToFileURL(join(projectRoot, path)).href,
      lineNumber: 9,
    },
  })
  const profile = {
    nodes: [
      frame(1, '(idle)'),
      frame(2, 'work', 'backend/src/a.ts'),
      frame(3, ''),
      frame(4, 'work', 'backend/src/a.ts'),
    ],
    samples: [1, 2, 3, 4, 1],
    timeDeltas: [9_000, 2_000, 1_000, 1_000, 9_000],
  }
  assert.deepEqual(selfTimes(profile), [
    { name: 'work backend/src/a.ts:10', ms: 3, share: 0.75 },
    { name: '(anonymous)', ms: 1, share: 0.25 },
  ])
})
