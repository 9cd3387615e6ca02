/**
 * Begins work as soon as there is any, in each lane so much at a time.
 *
 * Invariant: nothing waits while its lane may begin, and what arrives together begins together: work is taken once
 * everything that has arrived by now was submitted.
 */

/** Work of one kind. */
interface Lane {
  /** Under way at most. */
  readonly max: number
  /** Takes work and does it; undefined if there is none. What it returns never rejects. */
  readonly begin: () => Promise<void> | undefined
}

export class Lanes {
  readonly #lanes: readonly (Lane & { underWay: number })[]
  readonly #defer: (work: () => void) => void
  #isScheduled = false

  /** Lanes that come first begin first. `defer` runs work after everything that has arrived by now was submitted. */
  constructor(defer: (work: () => void) => void, lanes: readonly Lane[]) {
    this.#defer = defer
    this.#lanes = lanes.map((lane) => ({ ...lane, underWay: 0 }))
  }

  /** To be called whenever there is work. */
  schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#defer(() => {
      this.#isScheduled = false
      this.#begin()
    })
  }

  #begin(): void {
    for (const lane of this.#lanes) {
      while (lane.underWay < lane.max) {
        const work = lane.begin()
        if (!work) break
        lane.underWay++
        void work.finally(() => {
          lane.underWay--
          this.schedule()
        })
      }
    }
  }
}
