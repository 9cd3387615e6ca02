/**
 * Seeded pseudo-random numbers (sfc32, seeded by splitmix32): equal seeds give equal sequences on every machine.
 *
 * Invariant: each part of a history draws from a stream of its own, named after it. So taking one step out of a plan
 * leaves the delays of the others as they were, and shrinking a failure does not stir everything up.
 */

export class Random {
  readonly #state: [number, number, number, number]

  constructor(seed: number, stream = '') {
    let mixed = seed >>> 0
    for (let index = 0; index < stream.length; index++) {
      mixed = Math.imul(mixed ^ stream.charCodeAt(index), 0x01000193) >>> 0
    }
    const next = (): number => {
      mixed = (mixed + 0x9e3779b9) >>> 0
      let z = mixed
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
      return (z ^ (z >>> 15)) >>> 0
    }
    this.#state = [next(), next(), next(), next()]
  }

  /** At least 0, below 1. */
  next(): number {
    const s = this.#state
    const t = (((s[0] + s[1]) >>> 0) + s[3]) >>> 0
    s[3] = (s[3] + 1) >>> 0
    s[0] = s[1] ^ (s[1] >>> 9)
    s[1] = (s[2] + (s[2] << 3)) >>> 0
    s[2] = ((s[2] << 21) | (s[2] >>> 11)) >>> 0
    s[2] = (s[2] + t) >>> 0
    return t / 4_294_967_296
  }

  /** A whole number from `least` to `most`, both included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1))
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<T>(choices: readonly T[]): T {
    return choices[Math.floor(this.next() * choices.length)] as T
  }
}
