/**
 * Virtual time, and the order in which everything happens.
 *
 * Invariant: nothing runs but events of this queue and the microtasks that follow from each; there are no timers and
 * no I/O. Events of one time run in the order in which they were made, so a seed determines a history completely.
 */

interface Event {
  readonly at: number
  readonly order: number
  run: (() => void) | undefined
}

/** A scheduled event that may still be called off. */
export interface Alarm {
  cancel(): void
}

/** Immediates that are queued at once: between two of them Node runs all microtasks, without a turn of its loop. */
const immediatesAtOnce = 64

export class Scheduler {
  /** µs since the history began. */
  #now = 0
  #order = 0
  #executed = 0
  readonly #heap: Event[] = []

  get now(): number {
    return this.#now
  }

  get nowMs(): number {
    return this.#now / 1000
  }

  /** Events that have run. */
  get executed(): number {
    return this.#executed
  }

  after(us: number, run: () => void): Alarm {
    const event: Event = { at: this.#now + Math.max(0, Math.round(us)), order: this.#order++, run }
    this.#push(event)
    return {
      cancel: () => {
        event.run = undefined
      },
    }
  }

  pause(us: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(us, resolve)
    })
  }

  /** Runs events until `done` says so, or the time is over. Resolves with whether `done` did. */
  run(done: () => boolean, untilUs: number): Promise<boolean> {
    return new Promise((resolve, reject) => {
      let ended = false
      let queued = 0
      const end = (result: boolean): void => {
        ended = true
        resolve(result)
      }
      const step = (): void => {
        queued--
        if (ended) return
        try {
          if (done()) end(true)
          else if (!this.#runNext(untilUs)) end(false)
        } catch (error) {
          ended = true
          reject(error)
        }
        if (!ended && queued === 0) refill()
      }
      const refill = (): void => {
        queued = immediatesAtOnce
        for (let index = 0; index < immediatesAtOnce; index++) setImmediate(step)
      }
      refill()
    })
  }

  #runNext(untilUs: number): boolean {
    for (;;) {
      const event = this.#pop()
      if (!event) return false
      if (!event.run) continue
      if (event.at > untilUs) {
        this.#push(event)
        return false
      }
      this.#now = event.at
      this.#executed++
      event.run()
      return true
    }
  }

  #push(event: Event): void {
    const heap = this.#heap
    let index = heap.push(event) - 1
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (before(heap[parent] as Event, event)) break
      heap[index] = heap[parent] as Event
      index = parent
    }
    heap[index] = event
  }

  #pop(): Event | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (!first || !last || heap.length === 0) return first
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1] as Event, heap[child] as Event)) child++
      if (before(last, heap[child] as Event)) break
      heap[index] = heap[child] as Event
      index = child
    }
    heap[index] = last
    return first
  }
}

const before = (a: Event, b: Event): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)
