/**
 * Which faults, to whom, in which order and for how long: all of it follows from the seed, the scenario and the
 * parts that there are. Pure.
 *
 * Faults are dealt like cards: every kind comes once, in a random order, before any comes again. So a short run has
 * seen all kinds, and a long one no pattern.
 */

import { between, pick, shuffled, type Random } from './random.ts'

export const faultKinds = [
  'kill',
  'freeze',
  'cut',
  'half-open',
  'delay',
  'wal-sender',
  'rolling-restart',
] as const
export type FaultKind = (typeof faultKinds)[number]

export type PlannedFault = {
  readonly kind: FaultKind
  /** A part, a link, a region, or `all backends`. */
  readonly victim: string
  /** After the step's begin. */
  readonly afterMs: number
  readonly holdMs: number
  /** Of `delay`, each way. */
  readonly delayMs?: number
}

/** One fault, or several that overlap. */
export type Step = { readonly pauseMs: number; readonly faults: readonly PlannedFault[] }

export type Inventory = {
  readonly regions: readonly string[]
  readonly parts: readonly string[]
  readonly links: readonly string[]
}

/** Which victims a kind of fault is for. */
type Card = { readonly kind: FaultKind; readonly victims: (inventory: Inventory) => readonly string[] }

const partsLike =
  (pattern: RegExp) =>
  ({ parts }: Inventory): readonly string[] =>
    parts.filter((name) => pattern.test(name))
const linksLike =
  (pattern: RegExp) =>
  ({ links }: Inventory): readonly string[] =>
    links.filter((name) => pattern.test(name))

const backends = partsLike(/^backend-/)
const databases = partsLike(/^(postgres|db)-/)
const kafka = partsLike(/^kafka$/)
const nginx = partsLike(/^nginx$/)
const kafkaLinks = linksLike(/–kafka$/)
const databaseLinks = linksLike(/–postgres$/)

const cardsOf = {
  backend: [
    { kind: 'kill', victims: backends },
    { kind: 'freeze', victims: backends },
  ],
  postgres: [
    { kind: 'kill', victims: databases },
    { kind: 'freeze', victims: databases },
  ],
  kafka: [
    { kind: 'kill', victims: kafka },
    { kind: 'freeze', victims: kafka },
  ],
  nginx: [
    { kind: 'kill', victims: nginx },
    { kind: 'freeze', victims: nginx },
  ],
  network: [
    { kind: 'cut', victims: kafkaLinks },
    { kind: 'half-open', victims: kafkaLinks },
    { kind: 'delay', victims: kafkaLinks },
    { kind: 'cut', victims: databaseLinks },
    { kind: 'half-open', victims: databaseLinks },
    { kind: 'delay', victims: databaseLinks },
  ],
  'wal-sender': [{ kind: 'wal-sender', victims: ({ regions }) => regions }],
  rolling: [{ kind: 'rolling-restart', victims: () => ['all backends'] }],
} satisfies Record<string, readonly Card[]>

export const scenarios = ['all', ...Object.keys(cardsOf), 'overlap'] as const
/** Overlaps dealt among each kind's single faults in `all`. */
const overlapsPerDeck = 4
const overlapFaults = { least: 2, most: 3 }

const holdMs = { least: 1_500, most: 5_000 }
const pauseMs = { least: 500, most: 2_000 }
const overlapOffsetMs = { least: 0, most: 2_500 }
const delayMs = { least: 20, most: 120 }

/** Endless. @throws if the scenario is unknown or no part is there for it. */
export function* planSteps(random: Random, scenario: string, inventory: Inventory): Generator<Step, never> {
  const all: readonly Card[] = Object.values(cardsOf).flat()
  const isUsable = ({ victims }: Card): boolean => victims(inventory).length > 0
  const known = scenario === 'all' || scenario === 'overlap' ? all : cardsOf[scenario as keyof typeof cardsOf]
  if (!known) throw new Error(`there is no scenario ${scenario}: ${scenarios.join(', ')}`)
  const single = known.filter(isUsable)
  // A rolling restart waits for each backend to be back: beside another fault it would only wait.
  const overlapping = all.filter((card) => isUsable(card) && card.kind !== 'rolling-restart')
  if (single.length === 0) throw new Error(`no part is there for the scenario ${scenario}`)
  const overlaps = scenario === 'all' ? overlapsPerDeck : 0
  for (;;) {
    const deck: Array<Card | undefined> =
      scenario === 'overlap'
        ? [undefined]
        : shuffled(random, [...single, ...Array.from({ length: overlaps }, () => undefined)])
    for (const card of deck) {
      const faults = card
        ? [deal(random, card, inventory, 0)]
        : overlap(random, shuffled(random, overlapping), inventory)
      yield { pauseMs: between(random, pauseMs.least, pauseMs.most), faults }
    }
  }
}

function deal(random: Random, { kind, victims }: Card, inventory: Inventory, afterMs: number): PlannedFault {
  const fault = {
    kind,
    victim: pick(random, victims(inventory)),
    afterMs,
    holdMs: between(random, holdMs.least, holdMs.most),
  }
  return kind === 'delay' ? { ...fault, delayMs: between(random, delayMs.least, delayMs.most) } : fault
}

/** Several faults at once, each with a victim of its own. */
function overlap(random: Random, cards: readonly Card[], inventory: Inventory): PlannedFault[] {
  const count = between(random, overlapFaults.least, overlapFaults.most)
  const faults: PlannedFault[] = []
  for (const card of cards) {
    if (faults.length === count) break
    const afterMs = faults.length === 0 ? 0 : between(random, overlapOffsetMs.least, overlapOffsetMs.most)
    const fault = deal(random, card, inventory, afterMs)
    if (!faults.some(({ victim }) => victim === fault.victim)) faults.push(fault)
  }
  return faults
}
