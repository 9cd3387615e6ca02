/**
 * Refuses requests that are read late in a turn of the event loop.
 *
 * A turn reads everything that has arrived. When more arrives than can be worked on, turns grow long, and what waits for
 * the next one, the database's answers among it, is late by a whole turn each time. So a long turn takes on a bounded
 * number of requests, and refuses what it reads after them at once, before their bodies are read: they have waited
 * already, and refusing costs a fraction of serving. The number alone would refuse a burst that is served in no time, the
 * time alone would refuse single requests of a process that was not given the processor for a while.
 *
 * Health, readiness and metrics are always answered.
 */

import type { RequestHandler } from 'express'
import { sendProblem } from './answer.ts'

/** Requests that a turn takes on, however long it is: so many clients at once are never refused here. */
export const turnRequestsMax = 64
/** Turns up to this length take on any number, ms. */
const turnMaxMs = 25

const probes = /\/(health|ready|metrics)$/

/** @param now in ms. */
export function boundTurns(now: () => number): RequestHandler {
  let taken = 0
  let beganAt = 0
  const end = (): void => {
    taken = 0
  }
  return (request, response, next) => {
    if (taken === 0) {
      beganAt = now()
      setImmediate(end)
    }
    taken += 1
    const isLate = taken > turnRequestsMax && now() - beganAt > turnMaxMs
    if (!isLate || probes.test(request.path)) return next()
    sendProblem(response, { code: 'overloaded', detail: 'More requests arrive than this backend can serve.' })
  }
}
