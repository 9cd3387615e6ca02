/** Waiting for a condition, always bounded, and always saying what did not come about. */
import { setTimeout as delay } from 'node:timers/promises'

type WaitOptions = { timeoutMs: number; intervalMs?: number; what: string | (() => string) }

/** Resolves when `condition` holds; rejects when it still does not after `timeoutMs`. */
export async function waitUntil(
  condition: () => boolean | Promise<boolean>,
  { timeoutMs, intervalMs = 50, what }: WaitOptions,
): Promise<void> {
  const end = performance.now() + timeoutMs
  while (!(await condition())) {
    if (performance.now() > end) {
      throw new Error(`Waited ${timeoutMs / 1_000} s for ${typeof what === 'string' ? what : what()}`)
    }
    await delay(intervalMs)
  }
}

/** True when `promise` settled within `timeoutMs`, false when it did not. */
export async function settlesWithin(promise: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  const timer = new AbortController()
  const settled = promise.then(
    () => true,
    () => true,
  )
  const late = delay(timeoutMs, false, { signal: timer.signal }).catch(() => false)
  try {
    return await Promise.race([settled, late])
  } finally {
    timer.abort()
  }
}
