import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Heartbeat } from '../domain/event.ts'
import { findRestored } from './find-restored.ts'

const heartbeat = (run: string, lsn: string): Heartbeat => ({
  schema: 1,
  type: 'heartbeat',
  actor: 'us.a',
  lsn,
  xmin: '1',
  t: 1,
  run,
  partitions: 1,
  since: '0/1',
  applied: {},
})
const own = { run: 'b@0/200', walEnd: '0/400' }

for (const [what, run, lsn] of [
  ['this run', 'b@0/200', '0/300'],
  ['this run, at the end of the WAL', 'b@0/200', '0/400'],
  ['an earlier run', 'a@0/100', '0/180'],
] as const) {
  test(`${what} is known`, () => assert.equal(findRestored([heartbeat(run, lsn)], own), undefined))
}

for (const [what, run, lsn] of [
  ['this run, beyond the end of the WAL', 'b@0/200', '0/401'],
  ['another run that begins where this one begins', 'c@0/200', '0/210'],
  ['a run that begins later', 'c@0/300', '0/310'],
  ['an earlier run that reaches beyond the start of this one', 'a@0/100', '0/280'],
] as const) {
  test(`${what} is from a life that is missing here`, () => {
    assert.match(findRestored([heartbeat('b@0/200', '0/300'), heartbeat(run, lsn)], own) ?? '', /put back/)
  })
}

test('a database that has had no relay has published nothing', () => {
  assert.match(
    findRestored([heartbeat('a@0/100', '0/110')], { run: null, walEnd: '0/400' }) ?? '',
    /put back/,
  )
})
