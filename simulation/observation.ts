/**
 * What really happened, and the invariants that are checked while it happens.
 *
 * Invariant: the first problem is kept with its time; a history with a problem is a failure, however it ends.
 */

import type { Acceptance } from '../backend/src/domain/claim.ts'
import type { Heartbeat } from '../backend/src/domain/event.ts'
import { encodeEtag } from '../backend/src/domain/etag.ts'
import { heartbeatFreshUs, lagReport } from '../backend/src/domain/lag.ts'
import { updatedAt, type PropertyState } from '../backend/src/domain/property.ts'
import { dominates, versionOf, type Vector } from '../backend/src/domain/stamp.ts'
import type { WriteRequest } from '../backend/src/domain/write.ts'
import { type AcceptedWrite, type Observer, type SimulatedDatabase } from './database.ts'
import type { World } from './world.ts'

/** An answer that told a client of a success. */
export interface Acknowledged {
  readonly region: string
  readonly request: WriteRequest
  readonly acceptance: Pick<Acceptance, 'actor' | 'n' | 'etag' | 'version'>
  /** The state that the client had read; undefined for one that had not read. */
  readonly seen: Vector
  readonly at: number
}

const problemsMax = 20

export class Observation implements Observer {
  readonly problems: string[] = []
  readonly accepted: AcceptedWrite[] = []
  /** When the transaction of each accepted write committed, µs, by region and transaction id. */
  readonly #committedAt = new Map<string, number>()
  readonly acknowledged: Acknowledged[] = []
  readonly #stateByEtag = new Map<string, string>()
  readonly #etagByState = new Map<string, string>()
  /**
   * The shortest time that a heartbeat took, µs, by region and source: what clocks cannot tell from being apart. Absent
   * from the time that a clock is set until a heartbeat has told of both clocks as they are.
   */
  readonly #shortestDelay = new Map<string, number>()
  readonly #confirmed = new Map<string, number>()
  /** The first transaction id after a region's clock was set for the last time. */
  readonly #clockSetAt = new Map<string, bigint>()
  readonly #world: World

  constructor(world: World) {
    this.#world = world
  }

  fail(problem: string): void {
    this.#world.trace('INVARIANT', problem)
    if (this.problems.length < problemsMax) this.problems.push(problem)
  }

  onClockStep(region: string): void {
    this.#clockSetAt.set(region, BigInt(this.#world.region(region).database.nextXid))
    for (const key of this.#shortestDelay.keys()) {
      if (key.startsWith(`${region}/`) || key.includes(`/${region}.`)) this.#shortestDelay.delete(key)
    }
  }

  /** Whether a region sent this after its clock was set for the last time. */
  #isOfPresentClock(region: string, sent: { readonly xmin: string } | null | undefined): boolean {
    const setAt = this.#clockSetAt.get(region)
    return setAt === undefined || (sent != null && BigInt(sent.xmin) >= setAt)
  }

  onStray(region: string, statement: string): void {
    this.fail(`${region}: ${statement} comes after the end of its transaction`)
  }

  onAccepted(write: AcceptedWrite): void {
    const { region, xid, request, acceptance } = write
    if (write.before.fields.deleted && request.changes.deleted !== false) {
      this.fail(`${region}: ${request.requestId} is accepted on a deleted property`)
    }
    this.#world.trace(
      region,
      `accepts ${request.requestId} on ${request.id} as ${acceptance.etag}, transaction ${xid}`,
    )
    this.accepted.push(write)
    this.#committedAt.set(`${region}/${xid}`, this.#world.scheduler.now)
  }

  onRow(region: string, before: PropertyState | undefined, after: PropertyState): void {
    const etag = `${after.id} ${encodeEtag(after.vector)}`
    if (
      before &&
      (versionOf(after.vector) < versionOf(before.vector) || !dominates(after.vector, before.vector))
    ) {
      this.fail(`${region}: ${after.id} goes back from ${encodeEtag(before.vector)} to ${etag}`)
    }
    const state = canonicalState(after)
    const known = this.#stateByEtag.get(etag)
    if (known === undefined) this.#stateByEtag.set(etag, state)
    else if (known !== state)
      this.fail(`${region}: one ETag, two states: ${etag}\n    ${known}\n    ${state}`)
    const identity = `${state} ${versionOf(after.vector)}`
    const other = this.#etagByState.get(identity)
    if (other === undefined) this.#etagByState.set(identity, etag)
    this.#world.trace(region, `holds ${etag}`)
  }

  /** The slot may forget what comes before: all of it must be in the log. */
  onConfirmed(region: string, lsn: bigint): void {
    const { database } = this.#world.region(region)
    const { transactions } = database.wal
    let index = this.#confirmed.get(region) ?? 0
    for (; index < transactions.length; index++) {
      const transaction = transactions[index]
      if (!transaction || transaction.endLsn > lsn) break
      for (const { text } of transaction.messages) {
        if (!text.includes('"heartbeat"') && !this.#world.log.has(text)) {
          this.fail(`${region}: confirmed ${lsn}, but transaction ${transaction.xid} is not in the log`)
        }
      }
    }
    this.#confirmed.set(region, index)
  }

  onHeartbeat(region: string, heartbeat: Heartbeat, arrivedAt: number): void {
    const source = this.#world.regions.find(({ database }) => database.actor === heartbeat.actor)
    if (!source) return
    const key = `${region}/${heartbeat.actor}`
    const { skew, actor } = this.#world.region(region).database
    const isTelling =
      this.#isOfPresentClock(source.name, heartbeat) &&
      this.#isOfPresentClock(region, heartbeat.applied[actor])
    if (!isTelling) return void this.#shortestDelay.delete(key)
    const delay = arrivedAt - skew - (heartbeat.t - source.database.skew)
    this.#shortestDelay.set(key, Math.min(this.#shortestDelay.get(key) ?? Number.POSITIVE_INFINITY, delay))
  }

  acknowledge(acknowledged: Acknowledged): void {
    const { region, request, acceptance } = acknowledged
    this.#world.trace(`client`, `has its answer of ${request.requestId} from ${region}: ${acceptance.etag}`)
    this.acknowledged.push(acknowledged)
  }

  /** Watermarks and lag of every region against every other, as they are now. */
  checkWatermarks(): void {
    for (const { database } of this.#world.regions) {
      if (!database.up) continue
      const { sources, now } = database.readSources()
      const names = this.#world.plan.regions
      const lags = lagReport(database.region, names, sources, now).sources
      for (const write of this.accepted) {
        if (write.region === database.region || this.#isMerged(database, write)) continue
        const source = sources.find(({ region }) => region === write.region)
        if (!source) continue
        const what = `${write.request.requestId} of ${write.region}, transaction ${write.xid}`
        if (source.watermark && BigInt(write.xid) < BigInt(source.watermark.xmin)) {
          this.fail(
            `${database.region}: the watermark ${source.watermark.xmin} claims ${what}, which is not merged`,
          )
        }
        if (this.#isOfPresentClock(write.region, source.watermark)) {
          this.#checkLag(database, write, lags[write.region]?.lag_seconds ?? null)
        }
      }
    }
  }

  #checkLag(database: SimulatedDatabase, write: AcceptedWrite, lag: number | null): void {
    if (lag === null) return
    const age = this.#world.scheduler.now - (this.#committedAt.get(`${write.region}/${write.xid}`) ?? 0)
    const source = this.#world.region(write.region).database
    const wereSet = this.#clockSetAt.has(write.region) || this.#clockSetAt.has(database.region)
    const shortest = this.#shortestDelay.get(`${database.region}/${source.actor}`)
    if (wereSet && shortest === undefined) return
    // A clock that is ahead is told from a slow path only down to the fastest heartbeat that has come.
    const unknowable = wereSet || source.skew > database.skew ? (shortest ?? 0) : 0
    if (age <= Math.max(lag * 1e6, heartbeatFreshUs) + unknowable + 10) return
    this.fail(
      `${database.region}: lag behind ${write.region} is told as ${lag} s, but ${write.request.requestId} is unmerged for ${age / 1e6} s`,
    )
  }

  #isMerged(database: SimulatedDatabase, { request, acceptance }: AcceptedWrite): boolean {
    const row = database.properties.committed.get(request.id)
    return (row?.vector[acceptance.actor] ?? 0) >= acceptance.n
  }
}

/** A row as text, members in a fixed order. */
export function canonicalState(state: PropertyState): string {
  const stamps = Object.entries(state.stamps).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify([state.id, state.fields, stamps, updatedAt(state.stamps), state.extra])
}
