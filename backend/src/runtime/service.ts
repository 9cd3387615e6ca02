/**
 * Long-lived services and the one supervisor above them.
 *
 * Invariant: a service returns when it is told to stop or throws when it cannot go on; it never logs and carries on.
 * The supervisor starts it again after a growing delay, so every recovery is a fresh start from durable state.
 */

import type { Logger } from 'pino'
import { describeError } from './describe-error.ts'

export interface Service {
  readonly id: string
  /** Runs until `signal` aborts. @throws whenever it must be started anew. */
  run(signal: AbortSignal): Promise<void>
}

/** Resolves after a time, or as soon as the signal aborts. */
export type Sleep = (ms: number, signal?: AbortSignal) => Promise<void>

/** First delay before a failed service starts again, ms; doubles up to the maximum. */
const restartDelayMinMs = 100
const restartDelayMaxMs = 2000
/** A run this long counts as healthy, ms: the delay begins anew. */
const healthyRunMs = 10_000

export interface SupervisorOptions {
  readonly log: Logger
  readonly now: () => number
  readonly sleep: Sleep
  readonly onRestart: (serviceId: string) => void
}

/** Keeps services running until `signal` aborts; resolves when all have ended. */
export async function supervise(
  services: readonly Service[],
  signal: AbortSignal,
  options: SupervisorOptions,
): Promise<void> {
  await Promise.all(services.map((service) => keepRunning(service, signal, options)))
}

async function keepRunning(
  service: Service,
  signal: AbortSignal,
  { log, now, sleep: wait, onRestart }: SupervisorOptions,
): Promise<void> {
  let delayMs = restartDelayMinMs
  while (!signal.aborted) {
    const startedAt = now()
    try {
      await service.run(signal)
    } catch (error) {
      if (signal.aborted) return
      if (now() - startedAt >= healthyRunMs) delayMs = restartDelayMinMs
      log.warn(
        { service: service.id, reason: describeError(error), retry_in_ms: delayMs },
        'service failed, starting it again',
      )
      log.debug({ err: error }, 'service failed')
      onRestart(service.id)
    }
    if (signal.aborted) return
    await wait(delayMs, signal)
    delayMs = Math.min(delayMs * 2, restartDelayMaxMs)
  }
}

/** Resolves after `ms`, or as soon as `signal` aborts. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve()
    const finish = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', finish)
      resolve()
    }
    const timer = setTimeout(finish, ms)
    signal?.addEventListener('abort', finish, { once: true })
  })
}

/** Resolves when `signal` aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
