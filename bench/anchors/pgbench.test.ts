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

test("pgbench's figures are read from what it prints", () => {
  assert.deepEqual(parsePgbench(output), { transactions: 26_418, perSecond: 13_208.512345, averageMs: 1.211 })
})

test('figures that are missing and failed transactions are errors', () => {
  assert.throws(() => parsePgbench('pgbench: fatal'), /said something else/)
  assert.throws(
    () => parsePgbench(output.replace('failed transactions: 0', 'failed transactions: 3')),
    /3 transactions/,
  )
})

test('every parameter of the statements becomes a variable', () => {
  assert.equal(substitute('$1, $12, $1', { 1: ':id', 12: 'NULL' }), ':id, NULL, :id')
  assert.throws(() => substitute('$3', {}), /\$3/)
  for (const sql of [writeStatement(0), writeStatement(1, { guarded: true }), refusalStatement()]) {
    assert.doesNotMatch(sql, /\$\d/)
    assert.match(sql, /:id\b/)
  }
  assert.match(writeStatement(1, { guarded: true }), /:version::bigint AS version/)
})
