/**
 * What will be done in a history: which regions there are, what clients ask for, and what breaks when.
 *
 * Invariant: a plan is data, made from a seed alone. A history is its execution; taking steps out of a plan leaves a
 * plan, which is how a failure is shrunk.
 */

import { applierBatchBounds, type BatchBounds } from '../backend/src/replication/batch-size.ts'
import { Random } from './random.ts'

export interface WriteStep {
  readonly kind: 'write'
  readonly atMs: number
  readonly requestId: string
  readonly property: number
  /** To write `changes`; to delete; or to write back a value that is on record as lost, if there is one. */
  readonly intent: 'update' | 'delete' | 'restore'
  readonly changes: Readonly<Record<string, unknown>>
  /** Whether the client restores a property that it finds deleted. It writes to it all the same if not. */
  readonly revives: boolean
  /** Where the client reads; undefined if it goes on from the last answer that it has of this property. */
  readonly readFrom: string | undefined
  readonly client: number
  readonly thinkMs: number
  /** Where it sends its request, and then sends it again, after so long, until it has an answer. */
  readonly attempts: readonly {
    readonly region: string
    readonly afterMs: number
    readonly regardless: boolean
  }[]
}

/** `node` is `region/index` of a backend. */
export type FaultStep =
  | {
      readonly kind: 'crash' | 'stop' | 'freeze'
      readonly atMs: number
      readonly node: string
      readonly forMs: number
    }
  | {
      readonly kind: 'ambush'
      readonly atMs: number
      readonly node: string
      readonly forMs: number
      readonly call: string
      readonly phase: 'before' | 'after'
      readonly strike: 'crash' | 'freeze' | 'database'
    }
  | {
      readonly kind: 'database' | 'cut' | 'disturb'
      readonly atMs: number
      readonly region: string
      readonly forMs: number
    }
  | { readonly kind: 'poison'; readonly atMs: number; readonly text: string; readonly partition: number }
  | { readonly kind: 'checkpoint'; readonly atMs: number; readonly region: string }
  | { readonly kind: 'clock'; readonly atMs: number; readonly region: string; readonly byUs: number }

export type Step = WriteStep | FaultStep

export interface Plan {
  readonly seed: number
  readonly regions: readonly string[]
  readonly backendsPerRegion: number
  readonly partitions: number
  /** Of the applier: as in production, or so small that one is prepared while the one before is merged. */
  readonly batchBounds: BatchBounds
  /** How clients guard their writes. */
  readonly guard: 'etag' | 'version'
  /** By which each region's clock is ahead at first, µs. */
  readonly skews: Readonly<Record<string, number>>
  readonly properties: number
  readonly durationMs: number
  readonly steps: readonly Step[]
}

const hourUs = 3_600_000_000
const allRegions = ['us', 'eu', 'ap'] as const
const ambushedCalls = [
  'send',
  'beginRun',
  'send',
  'beginRun',
  'heartbeat',
  'open',
  'describe',
  'BEGIN',
  'advanceOffsets',
  'mergeStates',
  'lockStates',
  'mergeClaims',
  'readClaims',
  'mergeConflicts',
  'emitEvents',
  'mergeMarks',
  'storeSource',
  'COMMIT',
  'COMMIT',
  'setOffsets',
  'write',
  'write',
] as const
/** Events that no release understands, or that a database refuses. */
export const poisonTexts = ['not json', '{"schema":99}', '', 'unstorable'] as const

const smallBatches: BatchBounds = { first: 2, min: 2, max: 4 }

export function makePlan(seed: number): Plan {
  const random = new Random(seed, 'plan')
  const regions = allRegions.slice(0, random.chance(0.25) ? 3 : 2)
  const properties = random.between(1, 3)
  const durationMs = random.pick([1000, 1500, 2000, 2000, 2000, 3000, 3000, 8000])
  const frame = {
    seed,
    regions,
    backendsPerRegion: random.chance(0.35) ? 2 : 1,
    partitions: random.between(2, 3),
    batchBounds: seed % 2 === 0 ? applierBatchBounds : smallBatches,
    guard: random.chance(0.25) ? ('version' as const) : ('etag' as const),
    skews: Object.fromEntries(
      regions.map((region) => [region, random.chance(0.4) ? 0 : random.between(-hourUs, hourUs)]),
    ),
    properties,
    durationMs,
  }
  const steps: Step[] = [
    ...Array.from({ length: random.between(4, 22) }, (_, index) => makeWrite(random, frame, index)),
    ...Array.from({ length: random.between(0, 6) }, () => makeFault(random, frame)),
  ]
  return { ...frame, steps: steps.toSorted((a, b) => a.atMs - b.atMs) }
}

type Frame = Omit<Plan, 'steps'>

function makeWrite(random: Random, { regions, properties, durationMs }: Frame, index: number): WriteStep {
  const home = random.pick(regions)
  const elsewhere = (): string => (random.chance(0.6) ? random.pick(regions) : home)
  // Bursts: writes that race with each other say more than writes apart.
  const atMs = random.chance(0.5)
    ? random.between(0, durationMs)
    : Math.floor(durationMs * 0.3) + random.between(0, random.chance(0.3) ? 2 : 60)
  const attempts = [{ region: random.chance(0.8) ? home : elsewhere(), afterMs: 0, regardless: false }]
  while (attempts.length < 4 && random.chance(attempts.length === 1 ? 0.7 : 0.5)) {
    const afterMs = random.pick([0, 20, 200, 600, 2000])
    attempts.push({ region: elsewhere(), afterMs, regardless: random.chance(0.3) })
  }
  return {
    kind: 'write',
    atMs,
    requestId: `r${index}`,
    property: random.between(1, properties),
    intent: random.pick(['update', 'update', 'update', 'update', 'delete', 'restore'] as const),
    changes: makeChanges(random, index),
    revives: random.chance(0.7),
    readFrom: random.chance(0.75) ? home : undefined,
    client: random.between(1, 4),
    thinkMs: random.chance(0.2) ? random.between(100, 1000) : random.between(0, 10),
    attempts,
  }
}

function makeChanges(random: Random, index: number): Readonly<Record<string, unknown>> {
  const all = {
    price: random.chance(0.8) ? 1000 + index : 7,
    bedrooms: random.between(0, 3),
    title: `title ${index}`,
    status: random.pick(['draft', 'active', 'sold']),
  }
  const names = Object.keys(all) as (keyof typeof all)[]
  const chosen = names.filter((name) => random.chance(name === 'price' ? 0.7 : 0.3))
  return Object.fromEntries(
    (chosen.length > 0 ? chosen : ['price' as const]).map((name) => [name, all[name]]),
  )
}

/** Forward or backward: by up to an hour, or by so little that it falls between two writes. */
const clockSteps = (random: Random): readonly number[] => [
  random.between(-hourUs, hourUs),
  random.between(-2_000_000, 2_000_000),
]

function makeFault(random: Random, { regions, backendsPerRegion, durationMs, partitions }: Frame): FaultStep {
  const atMs = random.between(0, durationMs)
  const region = random.pick(regions)
  const node = `${region}/${random.between(0, backendsPerRegion - 1)}`
  const forMs = random.pick([1, 200, 1000, 4000, 6000])
  switch (
    random.pick([
      'crash',
      'stop',
      'freeze',
      'ambush',
      'ambush',
      'ambush',
      'database',
      'cut',
      'disturb',
      'disturb',
      'poison',
      'checkpoint',
      'clock',
    ] as const)
  ) {
    case 'crash':
      return { kind: 'crash', atMs, node, forMs }
    case 'stop':
      return { kind: 'stop', atMs, node, forMs }
    case 'freeze':
      return { kind: 'freeze', atMs, node, forMs }
    case 'ambush':
      return {
        kind: 'ambush',
        atMs,
        node,
        forMs,
        call: random.pick(ambushedCalls),
        phase: random.pick(['before', 'after']),
        strike: random.pick(['crash', 'crash', 'freeze', 'database']),
      }
    case 'database':
      return { kind: 'database', atMs, region, forMs: Math.min(forMs, 1000) }
    case 'cut':
      return { kind: 'cut', atMs: random.chance(0.3) ? 0 : atMs, region, forMs }
    case 'disturb':
      return { kind: 'disturb', atMs, region, forMs }
    case 'poison':
      return {
        kind: 'poison',
        atMs,
        text: random.pick(poisonTexts),
        partition: random.between(0, partitions - 1),
      }
    case 'clock':
      return { kind: 'clock', atMs, region, byUs: random.pick(clockSteps(random)) }
    default:
      return { kind: 'checkpoint', atMs, region }
  }
}
