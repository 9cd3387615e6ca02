/**
 * Group commit: writes that wait at the same time share one statement and one flush of the WAL.
 *
 * Invariant: nothing waits while a batch may start, so a lone write pays no delay, and load alone makes batches grow.
 * A batch has every property and every request id once: the writes after the first one wait for its outcome, in the
 * order in which they came. Those that the outcome makes stale are refused without another attempt; the first that
 * still may succeed is in the next batch. A write that would hold up or spoil its batch is tried again alone.
 *
 * After Helland et al., "Group Commit Timers and High Volume Transaction Systems" (HPTS 1987), without the timer.
 */

import { decodeEtag } from '../domain/etag.ts'
import {
  refusalOf,
  writesPerBatchMax,
  type BatchOutcome,
  type Judged,
  type WriteOutcome,
  type WriteRequest,
} from '../domain/write.ts'

/** Batches under way at most: while one waits for its flush, others are executed. */
export const batchesUnderWayMax = 4
/** Writes that are tried again alone, under way at most. */
export const loneWritesUnderWayMax = 4

export interface GroupCommitOptions {
  /** Decides writes of different properties and request ids. A single one is never `busy`. */
  readonly commit: (batch: readonly WriteRequest[]) => Promise<readonly BatchOutcome[]>
  /** Why stale writes are refused; `busy` if they are not stale any more. */
  readonly explain: (stale: readonly WriteRequest[]) => Promise<readonly BatchOutcome[]>
  /** Whether a failure means that nothing of the batch was accepted, and is due to what one of its writes asks for. */
  readonly isDueToOne: (error: unknown) => boolean
  /** Runs `work` after everything that has arrived by now was submitted. */
  readonly defer: (work: () => void) => void
  /** A write that has waited for so long is not begun any more: its client has been told, ms. */
  readonly waitMaxMs: number
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
}

interface Waiting {
  readonly since: number
  readonly request: WriteRequest
  readonly resolve: (outcome: WriteOutcome) => void
  readonly reject: (error: unknown) => void
}

export class GroupCommit {
  readonly #options: GroupCommitOptions
  #waiting: Waiting[] = []
  /** Property ids (numbers) and request ids (strings) of the writes that were taken and have no outcome yet. */
  readonly #underWay = new Set<number | string>()
  #batches = 0
  /** Writes that their batch left undecided; still under way, so that those after them wait. */
  readonly #undecided: Waiting[] = []
  #loneWrites = 0
  #isScheduled = false

  constructor(options: GroupCommitOptions) {
    this.#options = options
  }

  /** Rejects if the database fails: the write may then have been accepted. */
  submit(request: WriteRequest): Promise<WriteOutcome> {
    const { promise, resolve, reject } = Promise.withResolvers<WriteOutcome>()
    this.#waiting.push({ since: this.#options.now(), request, resolve, reject })
    this.#schedule()
    return promise
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#options.defer(() => {
      this.#isScheduled = false
      this.#start()
    })
  }

  #start(): void {
    this.#dropLate()
    while (this.#batches < batchesUnderWayMax) {
      const batch = this.#takeBatch()
      if (batch.length === 0) break
      this.#batches++
      void this.#run(batch).finally(() => {
        this.#batches--
        this.#schedule()
      })
    }
    while (this.#loneWrites < loneWritesUnderWayMax) {
      const write = this.#undecided.shift()
      if (!write) break
      this.#loneWrites++
      void this.#run([write]).finally(() => {
        this.#loneWrites--
        this.#schedule()
      })
    }
  }

  /** The queue is in the order of arrival, but for writes that were put back: they are the oldest anyway. */
  #dropLate(): void {
    const oldest = this.#options.now() - this.#options.waitMaxMs
    while (this.#waiting[0] && this.#waiting[0].since < oldest) {
      this.#waiting.shift()?.reject(new Error(`waited for more than ${this.#options.waitMaxMs} ms`))
    }
  }

  /** The longest-waiting writes whose property and request id nobody before them has. */
  #takeBatch(): Waiting[] {
    const batch: Waiting[] = []
    const left: Waiting[] = []
    const passedOver = new Set<number | string>()
    for (const write of this.#waiting) {
      const keys = keysOf(write)
      const isFree = keys.every((key) => !this.#underWay.has(key) && !passedOver.has(key))
      const isTaken = isFree && batch.length < writesPerBatchMax
      ;(isTaken ? batch : left).push(write)
      for (const key of keys) (isTaken ? this.#underWay : passedOver).add(key)
    }
    this.#waiting = left
    return batch
  }

  /** Never rejects. */
  async #run(batch: readonly Waiting[]): Promise<void> {
    const { commit, isDueToOne } = this.#options
    try {
      const outcomes = await commit(batch.map(({ request }) => request))
      const stale = this.#takeStale(outcomes)
      for (const [index, write] of batch.entries()) this.#settle(write, outcomes[index] as BatchOutcome)
      await this.#refuse(stale)
    } catch (error) {
      const isTriedAgain = batch.length > 1 && isDueToOne(error)
      for (const write of batch) {
        if (isTriedAgain) this.#undecided.push(write)
        else this.#end(write, () => write.reject(error))
      }
    }
  }

  #settle(write: Waiting, outcome: BatchOutcome): void {
    if (outcome.kind === 'busy') this.#undecided.push(write)
    else this.#end(write, () => write.resolve(outcome))
  }

  #end(write: Waiting, tell: () => void): void {
    for (const key of keysOf(write)) this.#underWay.delete(key)
    tell()
  }

  /** Takes out the writes that are refused by what a batch has just left or found. */
  #takeStale(outcomes: readonly BatchOutcome[]): Waiting[] {
    const states = new Map(outcomes.flatMap(currentOf))
    const isStale = ({ request }: Waiting): boolean => {
      const state = states.get(request.id)
      return state !== undefined && refusalOf(state, request) !== undefined
    }
    const { stale = [], left = [] } = Object.groupBy(this.#waiting, (write) =>
      isStale(write) ? 'stale' : 'left',
    )
    this.#waiting = left
    return stale
  }

  async #refuse(stale: readonly Waiting[]): Promise<void> {
    if (stale.length === 0) return
    try {
      const outcomes = await this.#options.explain(stale.map(({ request }) => request))
      for (const [index, write] of stale.entries()) {
        const outcome = outcomes[index] as BatchOutcome
        if (outcome.kind === 'busy') this.#waiting.unshift(write)
        else write.resolve(outcome)
      }
    } catch (error) {
      for (const write of stale) write.reject(error)
    }
  }
}

const keysOf = ({ request }: Waiting): readonly [number, string] => [request.id, request.requestId]

/** The state of the property after a write, by its id, as far as the outcome tells. */
function currentOf(outcome: BatchOutcome): [number, Judged][] {
  const view =
    outcome.kind === 'accepted' ? outcome.property : 'current' in outcome ? outcome.current : undefined
  const vector = view && decodeEtag(view.etag)
  return vector ? [[view.id, { fields: { deleted: view.deleted === true }, vector }]] : []
}
