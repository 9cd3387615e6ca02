/** Few numbers about several rounds. Pure. */

/** @throws if there is no value. */
export function median(values: readonly number[]): number {
  return percentile(values, 0.5)
}

/** The value below which a share of the values lies, between two of them in proportion. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const position = share * (sorted.length - 1)
  const [low, high] = [sorted[Math.floor(position)], sorted[Math.ceil(position)]]
  if (low === undefined || high === undefined) throw new Error('no values')
  return low + (high - low) * (position - Math.floor(position))
}

/** Least and greatest. */
export function spread(values: readonly number[]): readonly [least: number, greatest: number] {
  return [Math.min(...values), Math.max(...values)]
}

/** Three digits that count: 13,412 → 13,400 and 0.98765 → 0.988. */
export function threeDigits(value: number): string {
  if (!Number.isFinite(value)) return String(value)
  const rounded = Number(value.toPrecision(3))
  return Math.abs(rounded) >= 1_000 ? rounded.toLocaleString('en') : String(rounded)
}
