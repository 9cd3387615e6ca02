import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parsePgbench } from './pgbench.ts'
import { refusalStatement, substitute, writeStatement } from './statement.ts'

const output = `pgbench (15.18 (Debian 15.18-0+deb12u1), server 14.23)
transaction type: /tmp/x.sql
query mode: prepared
number of clients: 16
number of transactions actually processed: 26418
number of failed transactions: 0 (0.000%)
latency average = 1.211 ms
initial connection time = 12.345 ms
tps = 13208.512345 (without initial connection time)
`

const progress = `progress: 1.0 s, 2000.0 tps, lat 8.000 ms stddev 9.000, 0 failed
progress: 2.0 s, 10000.0 tps, lat 1.600 ms stddev 0.200, 0 failed
progress: 3.0 s, 30000.0 tps, lat 0.800 ms stddev 0.200, 0 failed
`

test("pgbench's figures are read from what it prints, without the first second", () => {
  assert.deepEqual(parsePgbench(output, progress), { transactions: 26_418, perSecond: 20_000, averageMs: 1 })
})

test('figures that are missing and failed transactions are errors', () => {
  assert.throws(() => parsePgbench('pgbench: fatal', progress), /said something else/)
  const failed = output.replace('failed transactions: 0', 'failed transactions: 3')
  assert.throws(() => parsePgbench(failed, progress), /3 transactions/)
})

test('every parameter of the statements becomes a variable', () => {
  assert.equal(substitute('$1, $12, $1', { 1: ':id', 12: 'NULL' }), ':id, NULL, :id')
  assert.throws(() => substitute('$3', {}), /\$3/)
  for (const sql of [writeStatement(), writeStatement({ guarded: true }), refusalStatement()]) {
    assert.doesNotMatch(sql, /\$\d/)
    assert.match(sql, /:id\b/)
  }
  assert.match(writeStatement({ guarded: true }), /:version::bigint AS version/)
})
