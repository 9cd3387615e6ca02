/**
 * Seeded randomness for the generator. The same seed must give the same sequence on every machine and in every
 * version of Node, so only 32-bit integer operations and the four basic operations on doubles are used: IEEE 754
 * fixes their results, while the results of Math.log, Math.sin or Math.pow may differ between engines.
 */

export type Random = () => number

/** A generator (mulberry32) of numbers in [0, 1) whose sequence is fixed by the seed. */
export const seededRandom = (seed: number): Random => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** An integer from `least` to `greatest`, both included. */
export const integerBetween = (random: Random, least: number, greatest: number): number =>
  least + Math.floor(random() * (greatest - least + 1))

export const chance = (random: Random, probability: number): boolean => random() < probability

/** One of the items, each as likely as any other. */
export const pick = <T>(random: Random, items: readonly T[]): T => {
  const item = items[Math.floor(random() * items.length)]
  if (item === undefined) throw new RangeError('nothing to pick from')
  return item
}

/** One of the values, each with a probability in proportion to its weight. */
export const pickWeighted = <T>(
  random: Random,
  choices: readonly (readonly [value: T, weight: number])[],
): T => {
  let remaining = random() * choices.reduce((sum, [, weight]) => sum + weight, 0)
  for (const [value, weight] of choices) {
    remaining -= weight
    if (remaining < 0) return value
  }
  throw new RangeError('nothing to pick from')
}

/** The items in a random order (Fisher–Yates); the argument is left as it is. */
export const shuffled = <T>(random: Random, items: readonly T[]): T[] => {
  const result = [...items]
  for (let last = result.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1))
    const kept = result[last] as T
    result[last] = result[other] as T
    result[other] = kept
  }
  return result
}
