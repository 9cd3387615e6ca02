/**
 * How many records the applier merges in one transaction: as many as it has shown to merge in a short time.
 *
 * Invariant: a batch holds the locks of its rows, and this process, for about 100 ms at most, on fast and slow machines
 * alike, except where batches so small would not keep up. Clients' writes to these rows wait meanwhile, and give up
 * after 400 ms: batches of 5,000 whatever they cost locked hot rows for 600 ms on a busy machine, so that all regions,
 * catching up together, answered 503 together.
 */

export interface BatchBounds {
  readonly first: number
  readonly min: number
  readonly max: number
}

/**
 * Records in a batch. Above, larger ones gain nothing. Below, the transaction itself is the cost: on a machine short of
 * processors it took 120 to 400 ms whatever it held, so a least size of 50 merged some 200 records a second, fewer than
 * came in. The lag then grew as long as clients wrote, and with it the conflicts, which are further records.
 */
export const applierBatchBounds: BatchBounds = { first: 500, min: 250, max: 5000 }

const batchTargetMs = 100
/** A size changes at most by this factor at a time: one long pause of the machine proves little. */
const stepMax = 2

export class BatchSize {
  readonly #bounds: BatchBounds
  #max: number

  constructor(bounds: BatchBounds) {
    this.#bounds = bounds
    this.#max = bounds.first
  }

  /** Records that the next batch may have. */
  get max(): number {
    return this.#max
  }

  /** Learns from a batch of at most `max`. One that was quick because it was small tells nothing of larger ones. */
  learn({ records, max, elapsedMs }: { records: number; max: number; elapsedMs: number }): void {
    if (elapsedMs <= batchTargetMs && records < max) return
    const factor = clamp(batchTargetMs / elapsedMs, 1 / stepMax, stepMax)
    this.#max = clamp(Math.round(max * factor), this.#bounds.min, this.#bounds.max)
  }
}

const clamp = (value: number, least: number, most: number): number => Math.min(Math.max(value, least), most)
