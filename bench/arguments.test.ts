import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseWanted } from './arguments.ts'
import { luaTable } from './load/wrk.ts'

const names = ['put', 'get']

test('a run of everything writes to docs, a part or a quick run writes nothing unless told', () => {
  assert.match(parseWanted([], names)?.out ?? '', /docs$/)
  assert.equal(parseWanted(['--quick'], names)?.out, undefined)
  assert.equal(parseWanted(['--only', 'put'], names)?.out, undefined)
  assert.equal(parseWanted(['--quick', '--out', 'x'], names)?.out, 'x')
})

test('a profile is one round of one figure', () => {
  const wanted = parseWanted(['--profile', 'put'], names)
  assert.deepEqual([wanted?.only, wanted?.rounds, wanted?.profile], [['put'], 1, 'put'])
})

test('what means nothing is refused', () => {
  for (const args of [
    ['--only', 'set'],
    ['--quick', '--long'],
    ['--rounds', '0'],
    ['--seconds', 'x'],
    ['--fast'],
  ]) {
    assert.throws(() => parseWanted(args, names), Error, args.join(' '))
  }
})

test('settings for wrk are a Lua table without what is not set', () => {
  assert.equal(luaTable({ first: 1, hot: undefined, result: '"x"' }), 'return { first = 1, result = "x" }\n')
})
