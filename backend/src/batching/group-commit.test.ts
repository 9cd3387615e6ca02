import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import { viewOf, type PropertyState, type PropertyView } from '../domain/property.ts'
import {
  decideWrite,
  refusalOf,
  writesPerBatchMax,
  type RefusedOutcome,
  type WriteOutcome,
  type WriteRequest,
} from '../domain/write.ts'
import { seedState } from '../testing/arbitraries.ts'
import { batchesUnderWayMax, GroupCommit, type GroupCommitOptions } from './group-commit.ts'

const request = (changes: Partial<WriteRequest> & { id: number; requestId: string }): WriteRequest => ({
  fingerprint: 'f',
  guard: { ifMatch: '*' },
  changes: { price: 1 },
  ...changes,
})
const { setImmediate: defer } = globalThis
/** Everything that is deferred or settled by now has run. */
const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 3; turn++) await setImmediate()
}

interface Batch {
  readonly writes: readonly WriteRequest[]
  /** Accepts the writes of these properties. */
  readonly accept: (...states: readonly PropertyView[]) => void
  readonly fail: (error: Error) => void
}

/** Batches wait here until the test answers them. */
function open(options: Partial<GroupCommitOptions> = {}) {
  const batches: Batch[] = []
  const explained: WriteRequest[][] = []
  const writes = new GroupCommit({
    commit: (asked) => {
      const { promise, resolve, reject } = Promise.withResolvers<ReadonlyMap<number, PropertyView>>()
      const accept = (...states: readonly PropertyView[]) => resolve(new Map(states.map((s) => [s.id, s])))
      batches.push({ writes: asked, accept, fail: reject })
      return promise
    },
    explain: (refused) => {
      explained.push([...refused])
      return Promise.resolve(refused.map(() => ({ kind: 'not_found' as const })))
    },
    isDueToOne: () => false,
    defer,
    waitMaxMs: 1000,
    now: () => 0,
    ...options,
  })
  return { writes, batches, explained }
}

const view = (n: number, id = 1) => viewOf({ ...seedState(id), vector: n === 0 ? {} : { 'us.a': n } })
const kindsOf = async (outcomes: readonly Promise<WriteOutcome>[]): Promise<string[]> =>
  (await Promise.all(outcomes)).map(({ kind }) => kind)

test('a lone write is sent at once; what comes while batches are under way shares the next ones', async () => {
  const { writes, batches } = open()
  for (let id = 1; id <= batchesUnderWayMax; id++) {
    void writes.submit(request({ id, requestId: `r${id}` }))
    await settled()
    assert.equal(batches.length, id)
  }
  const late = Array.from({ length: writesPerBatchMax + 5 }, (_, n) =>
    writes.submit(request({ id: 100 + n, requestId: `late ${n}` })),
  )
  await settled()
  assert.equal(batches.length, batchesUnderWayMax)
  batches[0]?.accept(view(1))
  batches[1]?.accept(view(1, 2))
  await settled()
  assert.deepEqual(
    batches.map((batch) => batch.writes.length),
    [1, 1, 1, 1, writesPerBatchMax, 5],
  )
  for (const batch of batches.slice(4)) batch.accept(...batch.writes.map(({ id }) => view(1, id)))
  assert.deepEqual(new Set(await kindsOf(late)), new Set(['accepted']))
})

test('writes of one property or one request id never share a batch and keep their order', async () => {
  const { writes, batches } = open()
  const outcomes = [
    request({ id: 1, requestId: 'a' }),
    request({ id: 1, requestId: 'b' }),
    request({ id: 2, requestId: 'b' }),
    request({ id: 2, requestId: 'c' }),
    request({ id: 3, requestId: 'd' }),
  ].map((one) => writes.submit(one))
  for (const expected of [['a', 'd'], ['b'], ['b'], ['c']]) {
    await settled()
    const batch = batches.at(-1)
    assert.deepEqual(
      batch?.writes.map(({ requestId }) => requestId),
      expected,
    )
    batch?.accept(...batch.writes.map(({ id }) => view(1, id)))
  }
  assert.equal((await kindsOf(outcomes)).length, 5)
  assert.equal(batches.length, 4)
})

test('writes that an outcome makes stale are refused together; the first that may succeed is tried', async () => {
  const { writes, batches, explained } = open()
  const first = writes.submit(request({ id: 1, requestId: 'a', guard: { version: 1 } }))
  const stale = ['b', 'c'].map((requestId) =>
    writes.submit(request({ id: 1, requestId, guard: { version: 1 } })),
  )
  const next = writes.submit(request({ id: 1, requestId: 'd', guard: { version: 2 } }))
  await settled()
  batches[0]?.accept(view(1))
  await settled()
  assert.deepEqual(
    explained.map((some) => some.map(({ requestId }) => requestId)),
    [['b', 'c']],
  )
  batches[1]?.accept(view(2))
  assert.deepEqual(await kindsOf([first, ...stale, next]), ['accepted', 'not_found', 'not_found', 'accepted'])
  assert.equal(batches.length, 2)
})

test('a write whose row is busy is tried alone, and those after it wait for it', async () => {
  const { writes, batches } = open({ explain: async (refused) => refused.map(() => undefined) })
  const outcomes = [
    writes.submit(request({ id: 1, requestId: 'a' })),
    writes.submit(request({ id: 2, requestId: 'b' })),
    writes.submit(request({ id: 1, requestId: 'c' })),
  ]
  await settled()
  batches[0]?.accept(view(1, 2))
  await settled()
  assert.deepEqual(
    batches.map((batch) => batch.writes.map(({ requestId }) => requestId)),
    [['a', 'b'], ['a']],
  )
  batches[1]?.accept(view(1))
  await settled()
  assert.deepEqual(
    batches[2]?.writes.map(({ requestId }) => requestId),
    ['c'],
  )
  batches[2]?.accept(view(2))
  assert.deepEqual(await kindsOf(outcomes), ['accepted', 'accepted', 'accepted'])
})

test('what a batch accepts is answered although the reasons of its refusals cannot be read', async () => {
  const { writes, batches } = open({ explain: () => Promise.reject(new Error('connection lost')) })
  const outcomes = Promise.allSettled([1, 2].map((id) => writes.submit(request({ id, requestId: `r${id}` }))))
  await settled()
  batches[0]?.accept(view(1, 1))
  assert.deepEqual(
    (await outcomes).map(({ status }) => status),
    ['fulfilled', 'rejected'],
  )
  void writes.submit(request({ id: 2, requestId: 'r2' }))
  await settled()
  assert.equal(batches.length, 2)
})

test('what a refusal shows makes others stale too, and a write that is tried again alone is given up in time', async () => {
  let now = 0
  const { writes, batches, explained } = open({
    now: () => now,
    explain: async (refused) => {
      explained.push([...refused])
      return refused.map(({ id }) => (id === 1 ? { kind: 'version_conflict', current: view(4) } : undefined))
    },
  })
  const stale = ['a', 'b'].map((requestId) =>
    writes.submit(request({ id: 1, requestId, guard: { version: 1 } })),
  )
  const late = assert.rejects(writes.submit(request({ id: 2, requestId: 'c' })), /waited for more than/)
  await settled()
  batches[0]?.accept()
  assert.deepEqual(await kindsOf(stale), ['version_conflict', 'version_conflict'])
  assert.deepEqual(
    explained.map((some) => some.map(({ requestId }) => requestId)),
    [['a', 'c'], ['b']],
  )
  now = 1001
  batches[1]?.accept()
  await late
  void writes.submit(request({ id: 2, requestId: 'c' }))
  await settled()
  assert.equal(batches.length, 3)
})

test('writes that are not stale any more when they are explained keep their order', async () => {
  const { writes, batches } = open({ explain: async (refused) => refused.map(() => undefined) })
  const outcomes = [
    writes.submit(request({ id: 1, requestId: 'a' })),
    ...['b', 'c', 'd'].map((requestId) =>
      writes.submit(request({ id: 1, requestId, guard: { version: 1 } })),
    ),
  ]
  for (const [before, requestId] of ['a', 'b', 'c', 'd'].entries()) {
    await settled()
    const batch = batches[before]
    assert.deepEqual(
      batch?.writes.map((one) => one.requestId),
      [requestId],
    )
    batch?.accept(view(before + 1))
  }
  assert.deepEqual(await kindsOf(outcomes), ['accepted', 'accepted', 'accepted', 'accepted'])
})

test('a batch that one of its writes has spoilt is taken apart; any other failure fails all of it', async () => {
  const spoilt = new Error('one of them')
  const { writes, batches } = open({ isDueToOne: (error) => error === spoilt })
  const submit = (id: number) => writes.submit(request({ id, requestId: `r${id}` }))
  const outcomes = Promise.allSettled([submit(1), submit(2), submit(3)])
  await settled()
  batches[0]?.fail(spoilt)
  await settled()
  assert.deepEqual(
    batches.slice(1).map((batch) => batch.writes.map(({ id }) => id)),
    [[1], [2], [3]],
  )
  batches[1]?.accept(view(1, 1))
  batches[2]?.fail(spoilt)
  batches[3]?.accept(view(1, 3))
  assert.deepEqual(
    (await outcomes).map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  )
  const lost = Promise.allSettled([submit(1), submit(2)])
  await settled()
  batches[4]?.fail(new Error('connection lost'))
  assert.ok((await lost).every(({ status }) => status === 'rejected'))
  assert.equal(batches.length, 5)
})

test('a write that has waited for too long is not begun any more', async () => {
  let now = 0
  const { writes, batches } = open({ now: () => now })
  const first = writes.submit(request({ id: 1, requestId: 'a' }))
  const late = assert.rejects(writes.submit(request({ id: 1, requestId: 'b' })), /waited for more than/)
  await settled()
  now = 1001
  const fresh = writes.submit(request({ id: 1, requestId: 'c' }))
  batches[0]?.accept(view(1))
  await late
  await settled()
  assert.deepEqual(
    batches[1]?.writes.map(({ requestId }) => requestId),
    ['c'],
  )
  batches[1]?.accept(view(2))
  assert.deepEqual(await kindsOf([first, fresh]), ['accepted', 'accepted'])
})

test('whatever the batches, every write is decided once, on a state that was current while it waited', async () => {
  const step = fc.record({
    id: fc.integer({ min: 1, max: 3 }),
    requestId: fc.integer({ min: 1, max: 12 }).map((n) => `r${n}`),
    version: fc.integer({ min: 1, max: 4 }),
    pause: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 30 }),
      fc.infiniteStream(fc.integer({ min: 0, max: 5 })),
      async (steps, dice) => {
        const states = new Map<number, PropertyState>([1, 2, 3].map((id) => [id, seedState(id)]))
        const claims = new Set<string>()
        const roll = (): number => dice.next().value
        const delay = async (): Promise<void> => {
          for (let turns = roll(); turns > 0; turns--) await settled()
        }
        const refuse = (one: WriteRequest): RefusedOutcome | undefined => {
          const { id, requestId } = one
          if (claims.has(requestId)) return { kind: 'request_id_reused', original: {} as never }
          const state = states.get(id) as PropertyState
          const kind = refusalOf(state, one)
          return kind && { kind, current: viewOf(state) }
        }
        const decide = (one: WriteRequest): PropertyView[] => {
          const next = decideWrite(states.get(one.id) as PropertyState, one, { actor: 'us.a', t: 1 })
          if (typeof next === 'string' || claims.has(one.requestId)) return []
          claims.add(one.requestId)
          states.set(one.id, next)
          return [viewOf(next)]
        }
        const { writes } = open({
          commit: async (batch) => {
            assert.equal(new Set(batch.map(({ id }) => id)).size, batch.length)
            assert.equal(new Set(batch.map(({ requestId }) => requestId)).size, batch.length)
            await delay()
            const isBusy = (): boolean => batch.length > 1 && roll() === 0
            const accepted = batch.flatMap((one) => (isBusy() ? [] : decide(one)))
            await delay()
            return new Map(accepted.map((state) => [state.id, state]))
          },
          explain: async (refused) => {
            await delay()
            return refused.map(refuse)
          },
        })
        const outcomes: Promise<WriteOutcome>[] = []
        for (const { version, pause, ...asked } of steps) {
          outcomes.push(writes.submit(request({ ...asked, guard: { version } })))
          if (pause) await settled()
        }
        const answers = await Promise.all(outcomes)
        const acceptedCount = answers.filter(({ kind }) => kind === 'accepted').length
        const versions = [...states.values()].reduce((sum, state) => sum + viewOf(state).version - 1, 0)
        assert.equal(acceptedCount, versions)
        assert.equal(acceptedCount, claims.size)
        for (const [index, { version }] of steps.entries()) {
          const answer = answers[index]
          if (answer?.kind === 'version_conflict') assert.notEqual(answer.current.version, version)
        }
      },
    ),
    { numRuns: 100 },
  )
})
