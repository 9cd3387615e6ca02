import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  actors,
  changesArbitrary,
  fittingTo,
  conflictsArbitrary,
  historyArbitrary,
  seedState,
  statesArbitrary,
  write,
} from '../testing/arbitraries.ts'
import { conflictsToStore, joinConflicts, type ConflictRecord } from './conflict.ts'
import { fieldNames, type Fields } from './fields.ts'
import { detectConflicts, joinStates } from './merge.ts'
import type { PropertyState } from './property.ts'
import { viewOf } from './property.ts'
import { decideWrite, type Guard } from './write.ts'
import { compareStamps, covers, dominates, seedStamp, versionOf, type Stamp } from './stamp.ts'

test('the join of states is commutative, associative and idempotent', () => {
  const join = joinStates
  fc.assert(
    fc.property(statesArbitrary, ([a, b, c]) => {
      assert.deepEqual(join(a, b), join(b, a))
      assert.deepEqual(join(join(a, b), c), join(a, join(b, c)))
      assert.deepEqual(join(a, a), a)
      assert.deepEqual(join(join(a, b), b), join(a, b))
    }),
    { numRuns: 2000 },
  )
})

test('the join of conflict records is commutative, associative and idempotent', () => {
  fc.assert(
    fc.property(conflictsArbitrary, conflictsArbitrary, conflictsArbitrary, (a, b, c) => {
      assert.deepEqual(joinConflicts(a, b), joinConflicts(b, a))
      assert.deepEqual(joinConflicts(joinConflicts(a, b), c), joinConflicts(a, joinConflicts(b, c)))
      assert.deepEqual(joinConflicts(a, a), joinConflicts(a))
      assert.deepEqual(conflictsToStore(joinConflicts(a, b), b), [])
      assert.deepEqual(joinConflicts(a, conflictsToStore(a, b)), joinConflicts(a, b))
    }),
    { numRuns: 2000 },
  )
})

test('equal vectors mean equal states, whatever the history', () => {
  fc.assert(
    fc.property(statesArbitrary, (states) => {
      for (const a of states) {
        for (const b of states) {
          if (dominates(a.vector, b.vector)) {
            assert.deepEqual(joinStates(a, b), a)
            assert.deepEqual([detectConflicts(a, b), detectConflicts(b, a)], [[], []], 'a copy loses nothing')
          }
          assert.equal(
            viewOf(a).etag === viewOf(b).etag,
            JSON.stringify(viewOf(a)) === JSON.stringify(viewOf(b)),
          )
        }
      }
    }),
    { numRuns: 2000 },
  )
})

test('a write beats what it saw, under any clocks, and stamps only what it changes', () => {
  fc.assert(
    fc.property(statesArbitrary, changesArbitrary, fc.nat(2), ([a, b], drawn, actor) => {
      const before = joinStates(a, b)
      const changes = fittingTo(before, drawn)
      const after = write(before, { actor, changes, skew: -7_200_000_000 }, 50)
      assert.equal(versionOf(after.vector), versionOf(before.vector) + 1)
      assert.deepEqual(joinStates(before, after), after)
      assert.deepEqual(detectConflicts(before, after), [])
      for (const name of fieldNames) {
        const expected = name in changes ? changes[name] : before.fields[name]
        assert.equal(after.fields[name], expected)
        const kept = before.fields[name] === expected
        assert.equal(after.stamps[name] === before.stamps[name], kept, name)
      }
    }),
    { numRuns: 1000 },
  )
})

/** Runs a history in three regions that exchange states and records, and then everything with everybody. */
function replay(history: typeof historyArbitrary extends fc.Arbitrary<infer H> ? H : never) {
  const regions = actors.map(() => ({ state: seedState(), conflicts: [] as readonly ConflictRecord[] }))
  const written: PropertyState[] = []
  const deliver = (from: number, to: number): void => {
    const source = regions[from] as (typeof regions)[number]
    const target = regions[to] as (typeof regions)[number]
    target.conflicts = joinConflicts(
      target.conflicts,
      source.conflicts,
      detectConflicts(target.state, source.state),
    )
    target.state = joinStates(target.state, source.state)
  }
  for (const [time, step] of history.entries()) {
    if (step.kind === 'deliver') deliver(step.from, step.to)
    else {
      const region = regions[step.actor] as (typeof regions)[number]
      region.state = write(region.state, step, time)
      written.push(region.state)
    }
  }
  for (let round = 0; round < 2; round++) {
    for (const from of actors.keys()) for (const to of actors.keys()) deliver(from, to)
  }
  return { regions, written }
}

/** The state that the write of this dot has made. */
const madeBy = (written: readonly PropertyState[], [, , actor, n]: Stamp): PropertyState | undefined =>
  written.find(({ vector, stamps }) =>
    Object.values(stamps).some((stamp) => stamp[2] === actor && stamp[3] === n && vector[actor] === n),
  )

test('no written value disappears: it wins, was overwritten or deleted by a write that saw it, or is a conflict record', () => {
  fc.assert(
    fc.property(historyArbitrary, (history) => {
      const { regions, written } = replay(history)
      const [first, ...others] = regions
      assert.ok(first)
      for (const other of others) assert.deepEqual(other, first)
      const recorded = new Set(first.conflicts.map((record) => record.id))
      const deletion = first.state.fields.deleted
        ? madeBy(written, first.state.stamps['deleted'] ?? seedStamp)
        : undefined
      assert.equal(deletion !== undefined, first.state.fields.deleted)
      const isInPlace = (stamp: Stamp): boolean => !deletion || covers(deletion.vector, stamp)
      for (const name of fieldNames) {
        const values = written.map((state) => ({
          stamp: state.stamps[name] ?? seedStamp,
          value: state.fields[name],
          vector: state.vector,
        }))
        const final = first.state.stamps[name] ?? seedStamp
        const isAccountedFor = ({ stamp }: { stamp: Stamp }): boolean =>
          (compareStamps(stamp, final) === 0 && isInPlace(stamp)) ||
          values.some((later) => covers(later.vector, stamp) && compareStamps(later.stamp, stamp) > 0) ||
          recorded.has(`1/${name}/${stamp[2]}/${stamp[3]}`)
        for (const { stamp, value } of values) {
          // An equal value that beat this one stands for it.
          const standIns = values.filter(
            (other) => other.value === value && compareStamps(other.stamp, stamp) >= 0,
          )
          assert.ok(stamp[3] === 0 || standIns.some(isAccountedFor), `${name} of ${stamp.join()}`)
        }
      }
    }),
    { numRuns: 2000 },
  )
})

test('a value that a delete hides is recorded by its dot, in either direction, unless the delete saw it', () => {
  const seen = write(seedState(), { actor: 0, changes: { price: 7 }, skew: 0 }, 1)
  const deleted = write(seen, { actor: 0, changes: { deleted: true }, skew: 0 }, 2)
  const concurrent = write(seen, { actor: 1, changes: { title: 'a' }, skew: -3_600_000_000 }, 3, 'hidden')
  for (const [a, b] of [
    [deleted, concurrent],
    [concurrent, deleted],
  ] as const) {
    const [record, ...others] = detectConflicts(a, b)
    assert.deepEqual(others, [])
    assert.deepEqual(
      [record?.id, record?.kind, record?.value, record?.stamp[4]],
      ['1/title/eu.b/1', 'concurrent', { title: 'a' }, 'hidden'],
    )
  }
  const joined = joinStates(deleted, concurrent)
  assert.equal(viewOf(joined).deleted, true)
  assert.deepEqual(detectConflicts(joined, concurrent), [])
  const restored = write(joined, { actor: 1, changes: {}, skew: 0 }, 4)
  assert.equal('deleted' in viewOf(restored), false)
  assert.deepEqual([restored.fields.title, detectConflicts(restored, deleted)], ['a', []])
})

test('a deleted property takes no write but one that restores it', () => {
  const tombstone = write(seedState(), { actor: 0, changes: { deleted: true }, skew: 0 }, 1)
  const decide = (changes: Partial<Fields>, guard: Guard) =>
    decideWrite(tombstone, { guard, changes, requestId: 'r' }, { actor: 'us.a', t: 5 })
  assert.equal(decide({ price: 7 }, { version: 2 }), 'deleted')
  assert.equal(decide({ deleted: true }, { ifMatch: ['"x"'] }), 'deleted')
  assert.equal(decide({ deleted: false }, { version: 1 }), 'version_conflict')
  assert.equal(decide({ deleted: false }, { ifMatch: ['"x"'] }), 'precondition_failed')
  const restored = decide({ deleted: false, price: 7 }, { version: 2 })
  assert.ok(typeof restored !== 'string')
  assert.deepEqual([restored.fields.deleted, restored.fields.price], [false, 7])
})

test('members of a newer release survive, each by its own stamp', () => {
  const older = {
    ...seedState(),
    extra: { garden: 'small' },
    stamps: { garden: [1, 5, 'us.a', 1, 'r'] as const },
  }
  const newer = {
    ...seedState(),
    extra: { garden: 'large' },
    stamps: { garden: [2, 4, 'eu.b', 1, 'r'] as const },
  }
  for (const joined of [joinStates(older, newer), joinStates(newer, older)]) {
    assert.deepEqual(joined.extra, { garden: 'large' })
    assert.deepEqual(joined.stamps['garden'], newer.stamps.garden)
  }
  assert.deepEqual(joinStates(older, seedState()).extra, { garden: 'small' })
})
