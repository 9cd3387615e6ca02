import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { Lanes } from './lanes.ts'

/** Two lanes whose work waits until the test ends it. */
function open(max: { first: number; second: number }) {
  const begun: string[] = []
  const waiting = { first: 0, second: 0 }
  const ends: (() => void)[] = []
  const lane = (name: 'first' | 'second') => ({
    max: max[name],
    begin: () => {
      if (waiting[name] === 0) return undefined
      waiting[name]--
      begun.push(name)
      return new Promise<void>((resolve) => ends.push(resolve))
    },
  })
  const lanes = new Lanes(setImmediate, [lane('first'), lane('second')])
  return { lanes, begun, waiting, ends }
}

test('nothing begins before everything that arrives together was submitted; then lanes begin in their order', async () => {
  const { lanes, begun, waiting } = open({ first: 2, second: 2 })
  waiting.second++
  lanes.schedule()
  waiting.first++
  lanes.schedule()
  assert.deepEqual(begun, [])
  await turn()
  assert.deepEqual(begun, ['first', 'second'])
})

test('a lane that is full keeps no other one waiting, and goes on as soon as some of its work ends', async () => {
  const { lanes, begun, waiting, ends } = open({ first: 1, second: 2 })
  Object.assign(waiting, { first: 3, second: 1 })
  lanes.schedule()
  await turn()
  assert.deepEqual(begun, ['first', 'second'])
  ends[0]?.()
  await turn()
  await turn()
  assert.deepEqual(begun, ['first', 'second', 'first'])
  ends[2]?.()
  await turn()
  await turn()
  assert.deepEqual(begun, ['first', 'second', 'first', 'first'])
})
