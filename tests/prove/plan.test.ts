/** The plan follows from the seed, and leaves out no kind of fault. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { planSteps, scenarios, type Step } from './plan.ts'
import { seeded } from './random.ts'

const inventory = {
  regions: ['us', 'eu'],
  parts: ['nginx', 'kafka', 'backend-us', 'backend-eu', 'postgres-us', 'postgres-eu'],
  links: ['us–kafka', 'eu–kafka', 'backend-us–postgres', 'backend-eu–postgres'],
}

function steps(seed: number, count: number, scenario = 'all', there = inventory): Step[] {
  return planSteps(seeded(seed), scenario, there).take(count).toArray()
}

test('equal seeds make equal plans, different seeds different ones', () => {
  assert.deepEqual(steps(1, 40), steps(1, 40))
  assert.notDeepEqual(steps(1, 40), steps(2, 40))
})

test('one deck deals every kind of fault to every kind of victim', () => {
  const single = steps(3, 20).filter(({ faults }) => faults.length === 1)
  const kinds = single.flatMap(({ faults }) =>
    faults.map(({ kind, victim }) => `${kind} ${victim.replaceAll(/(-|^)(us|eu)/g, '')}`),
  )
  assert.equal(new Set(kinds).size, 16)
})

test('overlapping faults have victims of their own', () => {
  for (const { faults } of steps(4, 200, 'overlap')) {
    assert.ok(faults.length >= 2)
    assert.equal(new Set(faults.map(({ victim }) => victim)).size, faults.length)
  }
})

test('every scenario can be planned; a target without proxies goes without cut links', () => {
  for (const scenario of scenarios) assert.ok(steps(5, 3, scenario).length > 0)
  const bare = steps(6, 100, 'all', { ...inventory, links: [] })
  assert.ok(
    bare.every(({ faults }) => faults.every(({ kind }) => !['cut', 'half-open', 'delay'].includes(kind))),
  )
  assert.throws(() => steps(7, 1, 'network', { ...inventory, links: [] }), /no part is there/)
})
