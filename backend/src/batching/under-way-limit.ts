/**
 * How many requests may be under way, so that the last of them is still answered in time.
 *
 * A number alone bounds the time only while the database is as fast as it was when somebody chose the number: 512 requests
 * take 0.2 s at 2,500 a second, and 1 s at 500. So the number follows what is observed. A request that found `ahead` others
 * and took `tookMs` says that `ahead / tookMs` are served a millisecond, hence how many are in `targetMs` (Little's law).
 */

/** Up to so many are let in however long they take: fewer say nothing about the rate, and cannot be what slows it. */
export const underWayMin = 64
/** Below this many others a request has met no queue to speak of. */
const aheadMin = underWayMin / 4
/**
 * In which requests should be answered, ms: half of what they may take at most, since the rate changes meanwhile. With a
 * quarter less was served, not more: clients that are refused ask again, and refusing them took the place of serving.
 */
export const targetMs = 300
/** Weight of one observation: the limit follows within some hundred requests. */
const weight = 1 / 64

export class UnderWayLimit {
  readonly #max: number
  #value: number

  constructor(max: number) {
    this.#max = max
    this.#value = max
  }

  get value(): number {
    return Math.round(this.#value)
  }

  /** One request has ended: answered, failed or given up. */
  observe(ahead: number, tookMs: number): void {
    if (ahead < aheadMin) return
    const bearable = (ahead * targetMs) / Math.max(tookMs, 1)
    this.#value += (Math.min(this.#max, Math.max(underWayMin, bearable)) - this.#value) * weight
  }
}
