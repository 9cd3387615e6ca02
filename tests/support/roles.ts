/** Which backend of a region relays, and which one applies, as their own metrics say. */

import { waitUntil } from '../../local/wait.ts'
import type { System } from './system.ts'

type Role = keyof typeof metricOf
type Backend = ReturnType<System['backend']>

const metricOf = { relay: 'meridian_relay_active', applier: 'meridian_applier_active' } as const
const metricsTimeoutMs = 1_000
const restartTimeoutMs = 20_000

async function hasRole({ url }: Backend, role: Role): Promise<boolean> {
  try {
    const answer = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(metricsTimeoutMs) })
    const text = await answer.text()
    return text.split('\n').some((line) => line.startsWith(`${metricOf[role]}{`) && line.endsWith(' 1'))
  } catch {
    return false
  }
}

/** Waits until the backend relays and applies, and returns how long each of the two took. */
export async function waitForRoles(
  backend: Backend,
  timeoutMs: number,
): Promise<{ relayMs: number; applierMs: number }> {
  const began = performance.now()
  const waitFor = async (role: Role): Promise<number> => {
    await waitUntil(() => hasRole(backend, role), {
      timeoutMs,
      intervalMs: 20,
      what: `${role} in ${backend.name}`,
    })
    return Math.round(performance.now() - began)
  }
  const [relayMs, applierMs] = await Promise.all([waitFor('relay'), waitFor('applier')])
  return { relayMs, applierMs }
}

/** Gives both roles in the US to one of its two backends, by a restart of the other. */
export async function oneDoesAll(system: System): Promise<{ holder: Backend; standby: Backend }> {
  const [holder, standby] = [system.backend('us', 0), system.backend('us', 1)]
  await standby.stop()
  await waitForRoles(holder, restartTimeoutMs)
  await standby.start()
  return { holder, standby }
}
