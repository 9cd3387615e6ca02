/**
 * Group commit: writes that wait at the same time share one statement and one flush of the WAL.
 *
 * Invariant: nothing waits while a batch may start, so a lone write pays no delay, and load alone makes batches grow.
 * A batch has every property and every request id once: the writes after the first one wait for its outcome, in the
 * order in which they came. What a batch accepts is answered at once. What it refuses is explained together with those
 * that its outcomes make stale, which are not attempted; the first that still may succeed is in the next batch. A write
 * that would hold up or spoil its batch is tried again alone.
 *
 * After Helland et al., "Group Commit Timers and High Volume Transaction Systems" (HPTS 1987), without the timer.
 */

import { decodeEtag } from '../domain/etag.ts'
import type { PropertyView } from '../domain/property.ts'
import {
  refusalOf,
  writesPerBatchMax,
  type Judged,
  type RefusedOutcome,
  type WriteOutcome,
  type WriteRequest,
} from '../domain/write.ts'
import { Lanes } from './lanes.ts'

/** Batches under way at most: while one waits for its flush, others are executed. */
export const batchesUnderWayMax = 4
/** Writes that are tried again alone, under way at most. */
export const loneWritesUnderWayMax = 4
/** Queries for the reasons of refusals, under way at most. */
const explanationsUnderWayMax = 2

export interface GroupCommitOptions {
  /** Accepts those writes, of different properties and request ids, that can be. The properties that they leave, by id. */
  readonly commit: (batch: readonly WriteRequest[]) => Promise<ReadonlyMap<number, PropertyView>>
  /** Why each of these writes has no effect; undefined if nothing speaks against it any more. */
  readonly explain: (refused: readonly WriteRequest[]) => Promise<readonly (RefusedOutcome | undefined)[]>
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
  /** It was taken and has no outcome yet, so those after it with one of its keys wait. */
  isUnderWay: boolean
}

export class GroupCommit {
  readonly #options: GroupCommitOptions
  readonly #lanes: Lanes
  #waiting: Waiting[] = []
  /** Writes that their batch left undecided: still under way. */
  readonly #undecided: Waiting[] = []
  /** Writes without effect, under way or stale, whose reasons are still to be read. */
  #refused: Waiting[] = []
  /** Property ids (numbers) and request ids (strings) of the writes under way. */
  readonly #keysUnderWay = new Set<number | string>()

  constructor(options: GroupCommitOptions) {
    this.#options = options
    this.#lanes = new Lanes(options.defer, [
      { max: explanationsUnderWayMax, begin: () => this.#explainRefused() },
      { max: loneWritesUnderWayMax, begin: () => this.#commitUndecided() },
      { max: batchesUnderWayMax, begin: () => this.#commitWaiting() },
    ])
  }

  /** Rejects if the database fails: the write may then have been accepted. */
  submit(request: WriteRequest): Promise<WriteOutcome> {
    const { promise, resolve, reject } = Promise.withResolvers<WriteOutcome>()
    this.#waiting.push({ since: this.#options.now(), request, resolve, reject, isUnderWay: false })
    this.#lanes.schedule()
    return promise
  }

  #commitWaiting(): Promise<void> | undefined {
    this.#dropLate(this.#waiting)
    const batch = this.#takeBatch()
    return batch.length > 0 ? this.#commit(batch) : undefined
  }

  #commitUndecided(): Promise<void> | undefined {
    this.#dropLate(this.#undecided)
    const write = this.#undecided.shift()
    return write && this.#commit([write])
  }

  /** Queues are in the order of arrival, but for writes that come back, which are among the oldest anyway. */
  #dropLate(queue: Waiting[]): void {
    const { now, waitMaxMs } = this.#options
    const oldest = now() - waitMaxMs
    for (let write = queue[0]; write && write.since < oldest; write = queue[0]) {
      queue.shift()
      this.#fail(write, new Error(`waited for more than ${waitMaxMs} ms`))
    }
  }

  /** The longest-waiting writes whose property and request id nobody before them has. */
  #takeBatch(): Waiting[] {
    const batch: Waiting[] = []
    const left: Waiting[] = []
    const passedOver = new Set<number | string>()
    for (const write of this.#waiting) {
      const keys = keysOf(write)
      const isFree = keys.every((key) => !this.#keysUnderWay.has(key) && !passedOver.has(key))
      write.isUnderWay = isFree && batch.length < writesPerBatchMax
      ;(write.isUnderWay ? batch : left).push(write)
      for (const key of keys) (write.isUnderWay ? this.#keysUnderWay : passedOver).add(key)
    }
    this.#waiting = left
    return batch
  }

  #end(write: Waiting): void {
    if (!write.isUnderWay) return
    write.isUnderWay = false
    for (const key of keysOf(write)) this.#keysUnderWay.delete(key)
  }

  /** Never rejects. */
  async #commit(batch: readonly Waiting[]): Promise<void> {
    const { commit, isDueToOne } = this.#options
    try {
      const accepted = await commit(batch.map(({ request }) => request))
      for (const write of batch) {
        const property = accepted.get(write.request.id)
        if (property) this.#answer(write, { kind: 'accepted', property })
        else this.#refused.push(write)
      }
      this.#setStaleAside([...accepted.values()])
    } catch (error) {
      const isTriedAgain = batch.length > 1 && isDueToOne(error)
      for (const write of batch) {
        if (isTriedAgain) this.#undecided.push(write)
        else this.#fail(write, error)
      }
    }
  }

  #answer(write: Waiting, outcome: WriteOutcome): void {
    this.#end(write)
    write.resolve(outcome)
  }

  #fail(write: Waiting, error: unknown): void {
    this.#end(write)
    write.reject(error)
  }

  /** Leaves it to an explanation to refuse the waiting writes that these states of their properties make stale. */
  #setStaleAside(states: readonly PropertyView[]): void {
    if (this.#waiting.length === 0) return
    const byId = new Map(states.flatMap(judgedOf))
    const { stale = [], left = [] } = Object.groupBy(this.#waiting, ({ request }) => {
      const state = byId.get(request.id)
      return state && refusalOf(state, request) ? 'stale' : 'left'
    })
    this.#waiting = left
    this.#refused.push(...stale)
  }

  #explainRefused(): Promise<void> | undefined {
    const refused = this.#refused
    this.#refused = []
    return refused.length > 0 ? this.#explain(refused) : undefined
  }

  /** Never rejects. */
  async #explain(refused: readonly Waiting[]): Promise<void> {
    try {
      const outcomes = await this.#options.explain(refused.map(({ request }) => request))
      const notStale: Waiting[] = []
      for (const [index, write] of refused.entries()) {
        const outcome = outcomes[index]
        if (outcome) this.#answer(write, outcome)
        else (write.isUnderWay ? this.#undecided : notStale).push(write)
      }
      this.#waiting = [...notStale, ...this.#waiting]
      this.#setStaleAside(
        outcomes.flatMap((outcome) => (outcome && 'current' in outcome ? [outcome.current] : [])),
      )
    } catch (error) {
      for (const write of refused) this.#fail(write, error)
    }
  }
}

const keysOf = ({ request }: Waiting): readonly [number, string] => [request.id, request.requestId]

/** What decides about further writes to a property, by its id. */
function judgedOf({ id, deleted, etag }: PropertyView): [number, Judged][] {
  const vector = decodeEtag(etag)
  return vector ? [[id, { fields: { deleted: deleted === true }, vector }]] : []
}
