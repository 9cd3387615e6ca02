import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  clockOffset,
  lagReport,
  lagSeconds,
  mergedEverywhereAt,
  narrowOffset,
  type OffsetBounds,
  type Source,
} from './lag.ts'

const unknown: OffsetBounds = { lower: null, upper: null }

test('the clock offset lies within its proven bounds, whatever the delays', () => {
  const exchange = fc.record({ there: fc.nat(5_000_000), back: fc.nat(5_000_000) })
  fc.assert(
    fc.property(
      fc.integer({ min: -3_600_000_000, max: 3_600_000_000 }),
      fc.array(exchange, { minLength: 1 }),
      (offset, exchanges) => {
        let bounds = unknown
        let ourTime = 1e15
        for (const { there, back } of exchanges) {
          const echoedAt = ourTime
          const sentAt = ourTime + there + offset
          ourTime += there + back
          bounds = narrowOffset(bounds, { sentAt, arrivedAt: ourTime, echoedAt })
          ourTime += 250_000
        }
        assert.ok((bounds.lower ?? 0) <= offset && offset <= (bounds.upper ?? 0))
        const estimate = clockOffset(bounds)
        const error = Math.min(...exchanges.map(({ there, back }) => there + back))
        assert.ok(Math.abs(estimate - offset) <= error || Math.abs(estimate) <= Math.abs(offset))
      },
    ),
  )
})

test('a backlog at the first contact is lag, not a slow clock', () => {
  const now = 1e15
  const sentAt = now - 600_000_000
  const bounds = narrowOffset(unknown, { sentAt, arrivedAt: now, echoedAt: undefined })
  assert.equal(lagSeconds(sentAt, now, bounds), 600)
})

test('a source whose clock runs an hour ahead or behind shows its true lag', () => {
  for (const offset of [3_600_000_000, -3_600_000_000]) {
    const sent = 1e15
    const bounds = narrowOffset(unknown, {
      sentAt: sent + offset,
      arrivedAt: sent + 5000,
      echoedAt: sent - 5000,
    })
    const seconds = lagSeconds(sent + offset, sent + 10_000_000, bounds)
    assert.ok(Math.abs(seconds - 10) < 0.02, String(seconds))
  }
})

test('a clock that is set begins the estimate anew', () => {
  const before = narrowOffset(unknown, { sentAt: 1000, arrivedAt: 1000, echoedAt: 990 })
  const after = narrowOffset(before, { sentAt: 901_100, arrivedAt: 1100, echoedAt: 1090 })
  assert.deepEqual(after, { lower: 900_000, upper: 900_010 })
})

const hourUs = 3_600_000_000

const source = (changes: Partial<Source>): Source => ({
  actor: 'eu.b',
  region: 'eu',
  since: '0/1',
  heartbeat_at: 1e15,
  offset_lower: null,
  offset_upper: null,
  applied: {},
  watermark: { lsn: '0/1', xmin: '1', t: 1e15 },
  gap: null,
  ...changes,
})

test('lag is null before the first heartbeat, 0 while fresh, and grows with the age of the watermark', () => {
  const lag = (sources: Source[], now: number) => lagReport('us', ['us', 'eu'], sources, now).lag_seconds
  assert.equal(lag([], 1e15), null)
  assert.equal(lag([source({ watermark: null })], 1e15), null)
  assert.equal(lag([source({})], 1e15 + 400_000), 0)
  assert.equal(lag([source({})], 1e15 + 2_000_000), 2)
  assert.equal(lag([source({})], 1e15 + 3_000_000), 3)
})

test('only the newest actor of a region counts, and the greatest lag is the region’s', () => {
  const old = source({ actor: 'eu.a', heartbeat_at: 1, watermark: { lsn: '0/1', xmin: '1', t: 1 } })
  const far = source({ actor: 'ap.c', region: 'ap', watermark: { lsn: '0/1', xmin: '1', t: 1e15 - 9e6 } })
  const report = lagReport('us', ['us', 'eu', 'ap'], [old, source({}), far], 1e15)
  assert.equal(report.lag_seconds, 9)
  assert.deepEqual(Object.keys(report.sources), ['eu', 'ap'])
  assert.equal(report.sources['eu']?.actor, 'eu.b')
})

const mark = (t: number) => ({ lsn: '0/1', xmin: '1', t })

test('nothing counts as merged everywhere until every region has said so, and clocks are known', () => {
  const known = { offset_upper: 0 }
  assert.equal(mergedEverywhereAt('us.a', ['us', 'eu'], []), undefined)
  assert.equal(mergedEverywhereAt('us.a', ['us', 'eu'], [source(known)]), undefined)
  const reporting = source({ applied: { 'us.a': mark(7) } })
  assert.equal(mergedEverywhereAt('us.a', ['us', 'eu'], [reporting]), undefined)
  assert.equal(mergedEverywhereAt('us.a', ['us', 'eu'], [{ ...reporting, ...known }]), 7)
  const former = source({ actor: 'us.z', region: 'us' })
  assert.equal(mergedEverywhereAt('us.a', ['us', 'eu'], [{ ...reporting, ...known }, former]), 7)
  assert.equal(mergedEverywhereAt('us.a', ['us', 'eu'], [former]), undefined)
  const givenUp = source({ actor: 'ap.c', region: 'ap', ...known, applied: { 'us.a': mark(1) } })
  assert.equal(mergedEverywhereAt('us.a', ['us', 'eu'], [{ ...reporting, ...known }, givenUp]), 7)
  assert.equal(mergedEverywhereAt('us.a', ['us'], []), Number.MAX_SAFE_INTEGER, 'nobody else has to merge it')
  const eu = source({ ...known, applied: { 'us.a': mark(7), 'ap.c': mark(8) } })
  const ap = source({ ...known, actor: 'ap.c', region: 'ap', applied: { 'us.a': mark(9) } })
  assert.equal(mergedEverywhereAt('us.a', ['us', 'eu', 'ap'], [eu, ap]), undefined)
  const apToo = { ...ap, applied: { ...ap.applied, 'eu.b': mark(6) } }
  assert.equal(mergedEverywhereAt('us.a', ['us', 'eu', 'ap'], [eu, apToo]), 6)
})

test('what another clock says counts on ours, whatever the clocks: a claim stays until the last region has it', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: -hourUs, max: hourUs }),
      fc.nat(1_000_000),
      fc.nat(10_000_000),
      (ahead, slack, mergedAt) => {
        // On our clock ap has merged eu up to `mergedAt`; eu's clock is ahead, by at most what is known.
        const eu = source({
          offset_upper: ahead + slack,
          applied: { 'us.a': mark(2e15), 'ap.c': mark(2e15) },
          watermark: mark(2e15),
        })
        const ap = source({
          actor: 'ap.c',
          region: 'ap',
          offset_upper: 0,
          applied: { 'us.a': mark(2e15), 'eu.b': mark(1e15 + mergedAt + ahead) },
          watermark: mark(2e15),
        })
        const horizon = mergedEverywhereAt('us.a', ['us', 'eu', 'ap'], [eu, ap])
        assert.equal(horizon, 1e15 + mergedAt - slack)
      },
    ),
  )
})
