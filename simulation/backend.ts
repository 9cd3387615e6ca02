/**
 * A backend of a region as a simulated process: the real services under the real supervisor, wired as in `app.ts`.
 *
 * Invariant: each start is a process of its own that knows nothing of the one before it.
 */

import type { Logger } from 'pino'
import { requestGroup, type ConflictRecord } from '../backend/src/domain/conflict.ts'
import { judgeIncarnation, type Incarnation, type Prepared } from '../backend/src/domain/incarnation.ts'
import { GroupCommit } from '../backend/src/batching/group-commit.ts'
import type { WriteOutcome, WriteRequest } from '../backend/src/domain/write.ts'
import { viewOf, type PropertyView } from '../backend/src/domain/property.ts'
import { checkPublished } from '../backend/src/replication/find-restored.ts'
import { Applier } from '../backend/src/replication/applier.ts'
import { Relay } from '../backend/src/replication/relay.ts'
import type { Metrics } from '../backend/src/runtime/metrics.ts'
import { supervise, type Service } from '../backend/src/runtime/service.ts'
import { Process, type Ambush } from './process.ts'
import type { Region, World } from './world.ts'
import { explainRefusals, writeBatch } from './write-statement.ts'

const meter = { inc() {}, set() {}, observe() {}, reset() {} }
const metrics = new Proxy({}, { get: () => meter }) as Metrics
const verifyIntervalMs = 5000
const checkPublishedMaxMs = 3000
/** Longest time until a client has its answer, ms. */
const answerMaxMs = 650

/** The state of a property, or its write's outcome; undefined for every failure that a client may retry elsewhere. */
export type Answer<T> = T | undefined

export class Backend {
  readonly name: string
  readonly #world: World
  readonly #region: Region
  #starts = 0
  #process: Process | undefined
  #writes: GroupCommit | undefined
  readonly #stops: AbortController[] = []
  #incarnation: Incarnation | undefined

  constructor(name: string, world: World, region: Region) {
    this.name = name
    this.#world = world
    this.#region = region
  }

  get running(): boolean {
    return this.#process?.alive === true && !this.#process.frozen
  }

  start(): void {
    if (this.#process?.alive) return
    const { scheduler, trace } = this.#world
    const process = new Process(
      this.name,
      scheduler,
      this.#world.stream(`${this.name}#${this.#starts++}`),
      trace,
    )
    trace(this.name, 'starts')
    this.#process = process
    this.#writes = this.#groupCommit(process)
    const stop = new AbortController()
    this.#stops.push(stop)
    this.#incarnation = undefined
    const options = {
      log: this.#logger(process),
      now: () => scheduler.nowMs,
      sleep: process.sleep,
      onRestart: () => {},
    }
    const replication: Service = {
      id: 'replication',
      run: async (signal) => {
        const known = await process.call('prepare', () => this.#judge())
        const prepared =
          known.kind === 'ready' ? await this.#verifyPublished(process, known.incarnation) : known
        if (prepared.kind !== 'ready') throw new Error(prepared.detail)
        this.#incarnation = prepared.incarnation
        await supervise(this.#services(process, prepared.incarnation), signal, options)
      },
    }
    void supervise([replication], stop.signal, options)
  }

  #judge() {
    const { database, name } = this.#region
    if (!database.up) throw new Error('the database is down')
    return judgeIncarnation(database.identity(), name)
  }

  /** As in `app.ts`: what cannot be read in time, the applier reads. */
  async #verifyPublished(process: Process, { actor }: Incarnation): Promise<Prepared> {
    const limit = new AbortController()
    const late = process.sleep(checkPublishedMaxMs, limit.signal).then(() => limit.abort())
    const session = await this.#region.sessions.openMergeSession(process)
    const log = this.#world.log.seenBy(process, this.#region.name)
    const checked = checkPublished(session, log, actor, limit.signal).catch(() => {})
    await Promise.race([checked, late])
    limit.abort()
    session.close()
    return process.call('verify', () => this.#judge())
  }

  #services(process: Process, incarnation: Incarnation): Service[] {
    const { scheduler, log } = this.#world
    const { sessions, name } = this.#region
    const common = {
      log: log.seenBy(process, name),
      logger: this.#logger(process),
      metrics,
      now: () => scheduler.nowMs,
      sleep: process.sleep,
    }
    const verification: Service = {
      id: 'verification',
      run: async (signal) => {
        while (!signal.aborted) {
          await process.call('verify', () => this.#judge())
          await process.sleep(verifyIntervalMs, signal)
        }
      },
    }
    return [
      new Relay({ ...common, source: sessions.replicationSource(process), incarnation }),
      new Applier({
        ...common,
        openSession: () => sessions.openMergeSession(process),
        actor: incarnation.actor,
        batchBounds: this.#world.plan.batchBounds,
        onRestored: (detail) =>
          this.#world.observation.fail(`${this.name} believes in a restored database: ${detail}`),
      }),
      verification,
    ]
  }

  #logger(process: Process): Logger {
    const { trace } = this.#world
    const say = (fields: object, message: string): void => {
      const reason = 'reason' in fields ? `: ${String(fields.reason)}` : ''
      const service = 'service' in fields ? `${String(fields.service)}: ` : ''
      trace(process.name, `${service}${message}${reason}`)
    }
    return { info: say, warn: say, error: say, debug() {} } as unknown as Logger
  }

  // Faults

  crash(): void {
    this.#process?.crash()
  }

  /** An orderly stop: services are told, and the process ends a little later. */
  stop(): void {
    const process = this.#process
    if (!process?.alive || process.frozen) return
    this.#world.trace(this.name, 'is told to stop')
    this.#incarnation = undefined
    this.#stops.at(-1)?.abort()
    this.#world.scheduler.after(100_000, () => process.crash())
  }

  /** After a history: Node keeps what listens to a signal that was never raised, and with it the whole world. */
  dispose(): void {
    for (const stop of this.#stops) stop.abort()
  }

  freeze(): void {
    this.#process?.freeze()
  }

  resume(): void {
    this.#process?.resume()
  }

  lieInWait(ambush: Ambush): void {
    this.#process?.lieInWait(ambush)
  }

  // Requests

  read(id: number): Promise<Answer<PropertyView>> {
    return this.#serve((process) =>
      process.call('read', () => {
        const { database } = this.#region
        const state = database.up ? database.properties.committed.get(id) : undefined
        return state && viewOf(state)
      }),
    )
  }

  /** What was lost of a property, without the records of whole requests. */
  losses(id: number): Promise<Answer<readonly ConflictRecord[]>> {
    return this.#serve((process) =>
      process.call('losses', () => {
        const { database } = this.#region
        if (!database.up) return undefined
        const records = [...database.conflicts.committed.values()]
        return records.filter((record) => record.property_id === id && record.group !== requestGroup)
      }),
    )
  }

  write(request: WriteRequest): Promise<Answer<WriteOutcome>> {
    return this.#serve(() => (this.#writes as GroupCommit).submit(request))
  }

  /** A client's request: refused at once by a dead process, late by a frozen one, which serves it all the same. */
  #serve<T>(work: (process: Process) => Promise<Answer<T>>): Promise<Answer<T>> {
    const process = this.#process
    if (!process?.alive) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      process.onDeath(() => resolve(undefined))
      process.learn(() => {
        if (!this.#incarnation) return resolve(undefined)
        void work(process).then(resolve, () => resolve(undefined))
        void process.sleep(answerMaxMs).then(() => resolve(undefined))
      })
    })
  }

  /** As in `region-store.ts`. */
  #groupCommit(process: Process): GroupCommit {
    const { database } = this.#region
    const { scheduler } = this.#world
    return new GroupCommit({
      commit: (batch) => process.call('write', () => writeBatch(database, batch)),
      explain: (refused) => process.call('explain', () => explainRefusals(database, refused)),
      isDueToOne: () => false,
      defer: (work) => scheduler.after(1, () => process.learn(work)),
      waitMaxMs: answerMaxMs,
      now: () => scheduler.nowMs,
    })
  }
}
