/**
 * Admission: which requests are let in while others are under way.
 *
 * Invariant: what is let in is answered in time, because as many are under way as the database answers in that time.
 * Those beyond are refused at once: waiting they would only delay the ones before them. A database that fails and answers
 * nothing for a while is not overloaded but gone, which another region can help with. Silence alone proves nothing: it
 * may be this process that has not listened.
 */

import { UnderWayLimit } from './under-way-limit.ts'

/** Requests under way at most: more than twice what a full pipeline of batches takes, so that it never runs dry. */
export const requestsUnderWayMax = 512
/** A database whose last answer was a failure, and which has answered nothing else for so long, is gone, ms. */
const silenceMaxMs = 300

export class Admission {
  readonly #now: () => number
  readonly #limit = new UnderWayLimit(requestsUnderWayMax)
  #underWay = 0
  /** When the database has last answered, or had nothing to answer without having failed before. */
  #aliveAt = 0
  #hasFailed = false

  /** @param now in ms, of a monotonic clock. */
  constructor(now: () => number) {
    this.#now = now
  }

  /** Why no request is let in at present; undefined if one is. */
  get refusal(): 'overloaded' | 'database_unavailable' | undefined {
    if (this.#underWay < this.#limit.value) return undefined
    const isGone = this.#hasFailed && this.#now() - this.#aliveAt > silenceMaxMs
    return isGone ? 'database_unavailable' : 'overloaded'
  }

  /** Does the work of a request that is let in. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const beganAt = this.#now()
    if (this.#underWay === 0 && !this.#hasFailed) this.#aliveAt = beganAt
    const ahead = this.#underWay++
    try {
      const answer = await work()
      this.#aliveAt = this.#now()
      this.#hasFailed = false
      return answer
    } catch (error) {
      this.#hasFailed = true
      throw error
    } finally {
      this.#underWay--
      this.#limit.observe(ahead, this.#now() - beganAt)
    }
  }
}
