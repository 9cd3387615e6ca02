/** The seed of tests, and generators of domain values. Small ranges, so that collisions are frequent. */

import fc from 'fast-check'
import type { ConflictRecord } from '../domain/conflict.ts'
import { conflictId, conflictKinds } from '../domain/conflict.ts'
import { groups, statuses, type Fields } from '../domain/fields.ts'
import { joinStates } from '../domain/merge.ts'
import type { PropertyState } from '../domain/property.ts'
import { seedTime, type Stamp } from '../domain/stamp.ts'
import { decideWrite } from '../domain/write.ts'

export const actors = ['us.a', 'eu.b', 'ap.c'] as const

export const seedFields: Fields = {
  price: 100_000,
  bedrooms: 2,
  bathrooms: 1.5,
  title: 'Seed',
  description: 'A seed.',
  status: 'active',
  deleted: false,
}

export const seedState = (id = 1): PropertyState => ({
  id,
  region_origin: 'us',
  fields: seedFields,
  vector: {},
  stamps: {},
  extra: {},
})

const updateArbitrary: fc.Arbitrary<Partial<Fields>> = fc
  .record(
    {
      price: fc.constantFrom(0, 100_000, 0.01, 1_250_000.5, 999_999_999_999.99),
      bedrooms: fc.integer({ min: 0, max: 3 }),
      bathrooms: fc.constantFrom(0, 1, 1.5, 1000),
      title: fc.constantFrom('Seed', 'a', '“ünïcode” 🏡', 'quote \' " \\ $1'),
      description: fc.constantFrom('A seed.', '', 'line\nbreak'),
      status: fc.constantFrom(...statuses),
    },
    { requiredKeys: [] },
  )
  .filter((changes) => Object.keys(changes).length > 0)

/** Updates, deletes and restores. */
export const changesArbitrary: fc.Arbitrary<Partial<Fields>> = fc.oneof(
  { weight: 4, arbitrary: updateArbitrary },
  { weight: 1, arbitrary: fc.constant({ deleted: true }) },
  { weight: 1, arbitrary: updateArbitrary.map((changes) => ({ ...changes, deleted: false })) },
)

/** The changes as a state takes them: those to a deleted property restore it. */
export const fittingTo = ({ fields }: PropertyState, changes: Partial<Fields>): Partial<Fields> =>
  fields.deleted ? { ...changes, deleted: false } : changes

export interface WriteStep {
  readonly kind: 'write'
  readonly actor: number
  readonly changes: Partial<Fields>
  /** Clock error of the actor. */
  readonly skew: number
}
export interface DeliverStep {
  readonly kind: 'deliver'
  readonly from: number
  readonly to: number
}

/** A history: writes in regions with skewed clocks, and states carried from one region to another. */
export const historyArbitrary: fc.Arbitrary<readonly (WriteStep | DeliverStep)[]> = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant('write' as const),
      actor: fc.integer({ min: 0, max: 2 }),
      changes: changesArbitrary,
      skew: fc.constantFrom(-3_600_000_000, -1, 0, 0, 1, 3_600_000_000),
    }),
    fc.record({
      kind: fc.constant('deliver' as const),
      from: fc.integer({ min: 0, max: 2 }),
      to: fc.integer({ min: 0, max: 2 }),
    }),
  ),
  { maxLength: 14 },
)

/** Writes through `decideWrite` without a stale guard. */
export function write(
  state: PropertyState,
  step: Omit<WriteStep, 'kind'>,
  time: number,
  requestId = `r${time}`,
): PropertyState {
  const context = { actor: actors[step.actor] as string, t: seedTime + time + step.skew }
  const changes = fittingTo(state, step.changes)
  const next = decideWrite(state, { guard: {}, changes, requestId }, context)
  if (typeof next === 'string') throw new Error(`an unguarded write was refused: ${next}`)
  return next
}

/** States that can occur: those of all regions at the end of a history. */
export const statesArbitrary: fc.Arbitrary<readonly [PropertyState, PropertyState, PropertyState]> =
  historyArbitrary.map((history) => {
    const states: [PropertyState, PropertyState, PropertyState] = [seedState(), seedState(), seedState()]
    for (const [time, step] of history.entries()) {
      if (step.kind === 'write') states[step.actor] = write(states[step.actor] as PropertyState, step, time)
      else states[step.to] = joinStates(states[step.to] as PropertyState, states[step.from] as PropertyState)
    }
    return states
  })

const stampArbitrary: fc.Arbitrary<Stamp> = fc.tuple(
  fc.constant(1),
  fc.integer({ min: 0, max: 3 }),
  fc.constantFrom(...actors),
  fc.integer({ min: 1, max: 3 }),
  fc.constant('r'),
)

/** Record sets as replication can make them: equal ids have equal losers. */
export const conflictsArbitrary: fc.Arbitrary<readonly ConflictRecord[]> = fc.uniqueArray(
  fc
    .record({
      actor: fc.constantFrom(...actors),
      n: fc.integer({ min: 1, max: 3 }),
      group: fc.constantFrom(...groups.keys()),
      kind: fc.constantFrom(...conflictKinds),
      resolution: fc.option(fc.record({ resolved: fc.boolean(), stamp: stampArbitrary }), { nil: null }),
    })
    .map(({ actor, n, group, kind, resolution }): ConflictRecord => {
      const stamp: Stamp = [1, n, actor, n, `r${n}`]
      // One stamp, one decision: a register's value follows from its stamp.
      const decided = resolution && { ...resolution, resolved: resolution.stamp[3] % 2 === 0 }
      return {
        id: conflictId(1, group, stamp),
        property_id: 1,
        group,
        kind,
        value: { [group]: n },
        stamp,
        resolution: decided,
      }
    }),
  { selector: (record) => record.id, maxLength: 6 },
)
