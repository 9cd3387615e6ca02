/** Which systems there are, and the life of each: from the first figure that asks for it to the check after the last. */

import { Bed, type BedOptions } from './bed.ts'
import { checkEqualRegions } from './checks.ts'
import type { BedName, Size } from './figure.ts'

/** Properties of the large bed; the goal speaks of a million. */
export const largeProperties = { quick: 50_000, full: 1_000_000, long: 1_000_000 } as const
/** So many that few events of one batch are about one property. */
export const backlogProperties = { quick: 10_000, full: 50_000, long: 50_000 } as const

/** Beds whose other region is looked at in every run; with the others that would take longer than their figures. */
const checked: ReadonlySet<BedName> = new Set(['alone', 'replicated'])

function optionsOf(name: BedName, size: Size): BedOptions {
  if (name === 'large') return { properties: largeProperties[size] }
  if (name === 'replicated') {
    // Commit times tell when a write was visible where. They cost both sides of every comparison the same.
    return { properties: backlogProperties[size], postgresSettings: { track_commit_timestamp: 'on' } }
  }
  return {}
}

export class Beds {
  readonly #size: Size
  readonly #extra: BedOptions
  readonly #beforeStop: ((bed: Bed) => Promise<void>) | undefined
  readonly #running = new Map<BedName, Promise<Bed>>()
  /** Writes that were answered with 429 or 503 on any bed. */
  overloads = 0

  constructor(
    size: Size,
    { extra = {}, beforeStop }: { extra?: BedOptions; beforeStop?: (bed: Bed) => Promise<void> },
  ) {
    this.#size = size
    this.#extra = extra
    this.#beforeStop = beforeStop
  }

  get(name: BedName): Promise<Bed> {
    const running = this.#running.get(name) ?? this.#start(name)
    this.#running.set(name, running)
    return running
  }

  get names(): readonly BedName[] {
    return [...this.#running.keys()]
  }

  /** @throws if its regions do not become equal, unless `beforeStop` has its place; it is stopped in any case. */
  async close(name: BedName): Promise<void> {
    const bed = await this.#running.get(name)
    this.#running.delete(name)
    if (!bed) return
    this.overloads += bed.overloads
    try {
      // A profile is of the figure, not of what replicates after it.
      if (this.#beforeStop) await this.#beforeStop(bed)
      else if (this.#size === 'long' || checked.has(name)) await checkEqualRegions(bed)
    } finally {
      await bed.stop()
    }
  }

  async #start(name: BedName): Promise<Bed> {
    const options = optionsOf(name, this.#size)
    const postgresSettings = { ...options.postgresSettings, ...this.#extra.postgresSettings }
    const bed = await Bed.start({ ...options, ...this.#extra, postgresSettings })
    if (name !== 'replicated') return bed
    try {
      await bed.startReplication()
      return bed
    } catch (error) {
      await bed.stop()
      throw error
    }
  }
}
