import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runHistory } from './history.ts'
import { makePlan } from './plan.ts'
import { runMany } from './run-many.ts'

const histories = 2000

test(`${histories} histories of faults: nothing is lost or doubled, and all regions end equal`, async (context) => {
  const began = performance.now()
  const totals = await runMany({ seed: 1, histories, stopAtFailure: false })
  const seconds = (performance.now() - began) / 1000
  context.diagnostic(
    `${(histories / seconds).toFixed(0)} histories/s, ${totals.events} events, ${totals.twins} twins, ${totals.conflicts} conflict records, ${totals.deletes} deletes, ${totals.restores} restored`,
  )
  context.diagnostic(
    `known limit of bare integers: ${totals.integerExceptions} writes in ${totals.integerHistories} histories superseded what their client had not seen`,
  )
  assert.deepEqual(totals.failures, [])
  assert.ok(totals.twins > 100 && totals.conflicts > 1000, 'the histories are hostile')
  assert.ok(totals.deletes > 1000 && totals.restores > 500, 'and full of deletes')
})

test('a seed gives one history, event by event', async () => {
  for (const seed of [7, 29, 383]) {
    const told = await Promise.all(
      [1, 2].map(async () => {
        const lines: string[] = []
        await runHistory(makePlan(seed), (line) => lines.push(line))
        return lines
      }),
    )
    assert.deepEqual(told[0], told[1])
    assert.ok((told[0]?.length ?? 0) > 20)
  }
})
