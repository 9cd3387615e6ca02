/** Numbers that follow from a seed alone (mulberry32), so that a run's faults can be chosen again. */

export type Random = () => number

/** From 0 to below 1. */
export function seeded(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A whole number, both ends included. */
export function between(random: Random, least: number, most: number): number {
  return least + Math.floor(random() * (most - least + 1))
}

/** One of a list that is not empty. */
export function pick<T>(random: Random, list: readonly T[]): T {
  if (list.length === 0) throw new Error('nothing to pick from')
  return list[between(random, 0, list.length - 1)] as T
}

/** A new order. */
export function shuffled<T>(random: Random, list: readonly T[]): T[] {
  const order = [...list]
  for (let last = order.length - 1; last > 0; last--) {
    const other = between(random, 0, last)
    ;[order[last], order[other]] = [order[other] as T, order[last] as T]
  }
  return order
}
