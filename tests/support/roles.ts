/** Which backend of a region relays, and which one applies, as their own metrics say. */

import type { Part } from '../../local/parts/part.ts'
import { waitUntil } from '../../local/wait.ts'

export type Role = 'relay' | 'applier'

const metricOf = { relay: 'meridian_relay_active', applier: 'meridian_applier_active' } as const
const metricsTimeoutMs = 1_000

async function hasRole(backend: { url: string }, role: Role): Promise<boolean> {
  try {
    const answer = await fetch(`${backend.url}/metrics`, { signal: AbortSignal.timeout(metricsTimeoutMs) })
    const text = await answer.text()
    return text.split('\n').some((line) => line.startsWith(`${metricOf[role]}{`) && line.endsWith(' 1'))
  } catch {
    return false
  }
}

/** Waits until one of `backends` has the role, and returns it with the time that took. */
export async function waitForRole<B extends Part & { url: string }>(
  backends: readonly B[],
  role: Role,
  timeoutMs: number,
): Promise<{ backend: B; ms: number }> {
  const began = performance.now()
  let found: B | undefined
  await waitUntil(
    async () => {
      const roles = await Promise.all(backends.map((backend) => hasRole(backend, role)))
      found = backends[roles.indexOf(true)]
      return found !== undefined
    },
    { timeoutMs, intervalMs: 20, what: `${role} in ${backends.map(({ name }) => name).join(' or ')}` },
  )
  if (!found) throw new Error('unreachable')
  return { backend: found, ms: performance.now() - began }
}
