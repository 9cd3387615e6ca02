/**
 * The checkers can fail: each is shown a small history in which everything is right, and then the same with one
 * thing wrong.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { judge, type Acceptance, type Holding, type Row } from '../support/audit.ts'
import { History, type AcknowledgedWrite, type Observation, type SentWrite } from '../support/history.ts'
import { checkFailures, checkLag, checkObservations, checkRecoveries } from './checkers.ts'
import type { FailureRecord, FaultRecord, LagSample } from './record.ts'

const property = 7

/** The n-th write of `us`, made on everything before it. */
function write(n: number): SentWrite {
  const base = n === 1 ? {} : { 'us.a': n - 1 }
  return { requestId: `write-${n}`, region: 'us', property, field: 'price', value: 100 + n, base }
}

function acceptance(n: number, actor = 'us.a'): Acceptance {
  return { property, actor, n, version: 1 + n, etag: `"${actor}:${n}"` }
}

function acknowledged(sent: SentWrite, { actor, n, version, etag }: Acceptance): AcknowledgedWrite {
  const answer = { servedBy: 'us', failover: false, foundAgain: false, at: n, latencyMs: 1 }
  return { write: sent, dot: { actor, n }, version, etag, ...answer }
}

/** Three writes, one after the other, all acknowledged and all in the database. */
function soundHistory(): { history: History; holding: Holding & { claims: Map<string, Acceptance[]> } } {
  const history = new History()
  const claims = new Map<string, Acceptance[]>()
  for (const n of [1, 2, 3]) {
    const sent = write(n)
    history.sent.set(sent.requestId, sent)
    history.acknowledged.push(acknowledged(sent, acceptance(n)))
    claims.set(sent.requestId, [acceptance(n)])
  }
  return { history, holding: { rows: [rowAt(3)], claims, conflicts: new Map() } }
}

function rowAt(n: number): Row {
  return {
    id: property,
    version: 1 + n,
    vector: { 'us.a': n },
    stamps: { price: [n, 1_000 + n, 'us.a', n, `write-${n}`] },
    price: 100 + n,
    title: 'a house',
    description: 'with a door',
    deleted: false,
  }
}

const before = new Map([[property, {}]])
const problemsOf = ({ history, holding }: { history: History; holding: Holding }): string =>
  judge(holding, history, before).problems.join('\n')

test('a sound history has no problems', () => {
  assert.equal(problemsOf(soundHistory()), '')
})

test('a lost write is found: gone with its claim', () => {
  const { history, holding } = soundHistory()
  holding.claims.delete('write-3')
  assert.match(problemsOf({ history, holding: { ...holding, rows: [rowAt(2)] } }), /not on record: 7 us\.a:3/)
})

test('a lost write is found: its claim is there, the row has never heard of it', () => {
  const { history, holding } = soundHistory()
  const found = problemsOf({ history, holding: { ...holding, rows: [rowAt(2)] } })
  assert.match(found, /not in the row or doubled \[us\.a:3\]/)
  assert.match(found, /lost in silence: 7 price = 103/)
})

test('a lost value is found: another value stands under its stamp', () => {
  const { history, holding } = soundHistory()
  const rows = [{ ...rowAt(3), price: 102 }]
  assert.match(
    problemsOf({ history, holding: { ...holding, rows } }),
    /price is 102, its stamp's write said 103/,
  )
})

test('a doubled write is found: one request took two dots in a region', () => {
  const { history, holding } = soundHistory()
  holding.claims.set('write-3', [acceptance(3), acceptance(4)])
  const rows = [{ ...rowAt(4), price: 103 }]
  assert.match(
    problemsOf({ history, holding: { ...holding, rows } }),
    /accepted twice in one region: write-3/,
  )
})

test('a doubled write is found: an effect without any request', () => {
  const { history, holding } = soundHistory()
  const rows = [{ ...rowAt(4), price: 103 }]
  assert.match(problemsOf({ history, holding: { ...holding, rows } }), /writes without a claim \[us\.a:4\]/)
})

test('a lost delete is found; one beside another that had not seen it is none', () => {
  const { history, holding } = soundHistory()
  const base = { 'us.a': 3 }
  const beside = (value: boolean, winner = 'eu.b'): string => {
    const writes = [
      { ...write(4), field: 'deleted', value: true, base },
      { ...write(5), field: 'deleted', value, base },
    ] as const
    for (const sent of writes) history.sent.set(sent.requestId, sent)
    holding.claims.set('write-4', [acceptance(4)]).set('write-5', [acceptance(1, 'eu.b')])
    const row = rowAt(3)
    const stamps = { ...row.stamps, deleted: [1, 2_000, winner, 1, 'write-5'] } as const
    const rows = [{ ...row, version: 6, vector: { 'us.a': 4, 'eu.b': 1 }, stamps, deleted: value }]
    return problemsOf({ history, holding: { ...holding, rows } })
  }
  assert.equal(beside(true), '')
  assert.equal(beside(false), 'lost in silence: 7 deleted = true of write-4')
  assert.match(beside(true, 'eu.lost'), /7 deleted = true of write-4\n.* 7 deleted = true of write-5$/)
})

test('a twin in the other region is found unless it is on record as one', () => {
  const { history, holding } = soundHistory()
  holding.claims.set('write-3', [acceptance(3), acceptance(1, 'eu.b')])
  const rows = [{ ...rowAt(3), version: 5, vector: { 'us.a': 3, 'eu.b': 1 } }]
  const twin = { history, holding: { ...holding, rows } }
  assert.match(problemsOf(twin), /a twin recorded as undefined: write-3/)
  const conflicts = new Map([['7/request/eu.b/1', 'duplicate']])
  assert.equal(problemsOf({ history, holding: { ...twin.holding, conflicts } }), '')
})

const sample = (lag: LagSample['lag'], age: LagSample['age']): LagSample => ({
  at: 12_000,
  region: 'eu',
  backend: 'backend-eu',
  lag,
  age,
  unmerged: 40,
})

test('a lying lag is found; a true one, an unknown one and a late sample are not taken for lies', () => {
  assert.match(checkLag([sample(0, 1.6)]).join(), /backend-eu at 12\.0 s reports a lag of 0 s/)
  assert.match(checkLag([sample(3.2, 8)]).join(), /oldest for 8\.00 s/)
  const honest = [sample(8.1, 8), sample(null, 8), sample(undefined, 8), sample(0, 0.4), sample(0, undefined)]
  assert.deepEqual(checkLag(honest), [])
})

const seen = (version: number, more: Partial<Observation> = {}, price = version): Observation => ({
  client: 'one',
  property,
  servedBy: 'us',
  at: version,
  body: { id: property, version, etag: `"us.a:${version - 1}"`, price },
  ...more,
})

test('a version that goes back is found, per client and region', () => {
  assert.match(checkObservations([seen(3), seen(2)]).join(), /go back from version 3 to 2/)
  assert.deepEqual(checkObservations([seen(3), seen(2, { servedBy: 'eu' }), seen(2, { client: 'two' })]), [])
})

test('two bodies with one ETag are found, and two ETags with one version of a region', () => {
  assert.match(
    checkObservations([seen(3), seen(3, { servedBy: 'eu' }, 99)]).join(),
    /two bodies with the ETag/,
  )
  const { body } = seen(3)
  const other = seen(3, { body: { ...body, etag: '"eu.b:2"' } })
  assert.match(checkObservations([seen(3), other]).join(), /version 3 is "us\.a:2" and "eu\.b:2"/)
})

const fault = (
  kind: FaultRecord['kind'],
  victim: string,
  recoveredAt: number | undefined = 6_000,
): FaultRecord => ({
  kind,
  victim,
  step: 1,
  beganAt: 1_000,
  healedAt: 4_000,
  recoveredAt,
})
const failure = (at: number, direct = false): FailureRecord => ({
  beganAt: at - 10,
  at,
  reason: '503 region_unavailable by nginx',
  path: '/us/properties/7',
  requestId: 'write-1',
  direct,
})

test('a failed request is a problem unless the entrance or a database was gone, or several backends were', () => {
  const count = (faults: readonly FaultRecord[], failed = failure(2_000)): number =>
    checkFailures([failed], faults).length
  assert.equal(count([]), 1)
  assert.equal(count([fault('kill', 'backend-us')]), 1)
  assert.equal(count([fault('half-open', 'backend-us–postgres')]), 1)
  assert.equal(count([fault('kill', 'kafka'), fault('wal-sender', 'us')]), 1)
  assert.equal(count([fault('kill', 'nginx')], failure(9_000)), 1, 'long after the fault')
  assert.equal(count([fault('kill', 'nginx')]), 0)
  assert.equal(count([fault('freeze', 'postgres-us')]), 0)
  assert.equal(count([fault('kill', 'backend-us'), fault('kill', 'backend-eu')]), 0)
  assert.equal(count([fault('kill', 'backend-us')], failure(2_000, true)), 0, 'past NGINX')
})

test('a fault without recovery is a problem', () => {
  const never = { ...fault('kill', 'kafka'), recoveredAt: undefined }
  assert.deepEqual(checkRecoveries([fault('kill', 'nginx'), never]), ['kill kafka, healed at 4 s'])
})
