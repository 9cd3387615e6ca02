/**
 * Begins work as soon as there is any, of each kind so much at a time.
 *
 * Invariant: nothing waits while its kind may begin, and what arrives together begins together: work is taken once
 * everything that has arrived by now was submitted.
 */

export interface Kind {
  /** Under way at most. */
  readonly max: number
  /** Takes work and does it; undefined if there is none. What it returns never rejects. */
  readonly begin: () => Promise<void> | undefined
}

export class Lanes {
  readonly #kinds: readonly (Kind & { underWay: number })[]
  readonly #defer: (work: () => void) => void
  #isScheduled = false

  /** Kinds that come first begin first. `defer` runs work after everything that has arrived by now was submitted. */
  constructor(defer: (work: () => void) => void, kinds: readonly Kind[]) {
    this.#defer = defer
    this.#kinds = kinds.map((kind) => ({ ...kind, underWay: 0 }))
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
    for (const kind of this.#kinds) {
      while (kind.underWay < kind.max) {
        const work = kind.begin()
        if (!work) break
        kind.underWay++
        void work.finally(() => {
          kind.underWay--
          this.schedule()
        })
      }
    }
  }
}
