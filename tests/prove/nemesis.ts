/**
 * Does what the plan says, and measures how long the system takes to be itself again.
 *
 * Invariant: a step ends with every one of its faults healed, however it ends.
 */

import { setTimeout as delay } from 'node:timers/promises'
import { waitUntil } from '../../local/wait.ts'
import { HttpClient } from '../support/http.ts'
import type { RegionName } from '../support/system.ts'
import type { PlannedFault, Step } from './plan.ts'
import type { FaultRecord } from './record.ts'
import type { Controls, Target } from './target.ts'

/** Kafka alone takes 9 s to serve after a kill; several parts at once come one after the other. */
const recoveryMaxMs = 60_000
const recoveryPollMs = 50
const lagNearZero = 1
const probedProperty = 1
const walSenderKills = 3
const walSenderPauseMs = 300

const terminateSql = 'SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active'

export class Nemesis {
  readonly #target: Target
  readonly #now: () => number
  readonly #http = new HttpClient()

  /** `now` is the run's clock. */
  constructor(target: Target, now: () => number) {
    this.#target = target
    this.#now = now
  }

  close(): void {
    this.#http.close()
  }

  /** Breaks and heals, then waits until the system has recovered, at most 60 s. */
  async run({ faults }: Step, step: number): Promise<FaultRecord[]> {
    const done = await Promise.all(
      faults.map(async (fault) => {
        await delay(fault.afterMs)
        const beganAt = this.#now()
        const healedAt = await this.#inflict(fault)
        return { kind: fault.kind, victim: fault.victim, step, beganAt, healedAt }
      }),
    )
    const recoveredAt = await this.#recovered()
    return done.map((fault) => ({ ...fault, recoveredAt }))
  }

  /** Returns when the healing began. */
  async #inflict({ kind, victim, holdMs, delayMs = 0 }: PlannedFault): Promise<number> {
    const part = (): Controls => inMap(this.#target.parts, victim)
    const hold = async (heal: () => void | Promise<void>): Promise<number> => {
      await delay(holdMs)
      const healedAt = this.#now()
      await heal()
      return healedAt
    }
    switch (kind) {
      case 'kill': {
        await part().kill()
        return hold(() => part().start())
      }
      case 'freeze': {
        await part().pause()
        return hold(() => part().resume())
      }
      case 'cut':
      case 'half-open':
      case 'delay': {
        const link = inMap(this.#target.links, victim)
        link.set(kind === 'delay' ? { delayMs } : kind)
        return hold(() => link.set('open'))
      }
      case 'wal-sender': {
        for (let times = 0; times < walSenderKills; times++) {
          if (times > 0) await delay(walSenderPauseMs)
          // Beside another fault the database may be gone: then so is its WAL sender.
          await this.#target.databases[victim as RegionName].query(terminateSql).catch(() => {})
        }
        return this.#now()
      }
      case 'rolling-restart': {
        for (const { name } of this.#target.backends) {
          await inMap(this.#target.parts, name).stop()
          await inMap(this.#target.parts, name).start()
          await this.#recovered()
        }
        return this.#now()
      }
    }
  }

  /** When every region answers its own clients and every backend's lag is near 0; undefined if that does not come. */
  async #recovered(): Promise<number | undefined> {
    const { backends, url } = this.#target
    const regions = [...new Set(backends.map(({ region }) => region))]
    const isHome = async (region: string): Promise<boolean> => {
      const answer = await this.#http.send(`${url}/${region}/properties/${probedProperty}`)
      return answer.status === 200 && answer.servedBy === region && !answer.failover
    }
    const isCurrent = async (backend: { url: string; region: string }): Promise<boolean> => {
      const { status, body } = await this.#http.send(`${backend.url}/${backend.region}/replication-lag`)
      return status === 200 && typeof body['lag_seconds'] === 'number' && body['lag_seconds'] < lagNearZero
    }
    const isRecovered = async (): Promise<boolean> => {
      try {
        const found = await Promise.all([...regions.map(isHome), ...backends.map(isCurrent)])
        return found.every(Boolean)
      } catch {
        return false
      }
    }
    try {
      await waitUntil(isRecovered, {
        timeoutMs: recoveryMaxMs,
        intervalMs: recoveryPollMs,
        what: 'the system to recover',
      })
      return this.#now()
    } catch {
      return undefined
    }
  }
}

function inMap<T>(map: ReadonlyMap<string, T>, name: string): T {
  const found = map.get(name)
  if (!found) throw new Error(`there is no ${name}`)
  return found
}
