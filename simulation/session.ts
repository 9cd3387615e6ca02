/**
 * Sessions with a simulated database, and how they end.
 *
 * Invariant: a session that ends takes its transaction, its row locks and its advisory lock with it; its client hears of
 * it when it next listens. The database ends the sessions of clients that are gone, that are idle for too long, and
 * sooner those that are idle with a transaction open.
 */

import type { Encoded } from '../backend/src/postgres/encoded.ts'
import type { MergeSession, MergeTransaction, ReplicationSource } from '../backend/src/replication/ports.ts'
import type { SimulatedDatabase } from './database.ts'
import { mergeStatements } from './merge-statements.ts'
import type { Process } from './process.ts'
import type { Scheduler } from './scheduler.ts'
import { DatabaseError, type Transaction } from './transactions.ts'
import { beginRun, emitHeartbeat } from './heartbeat-statements.ts'

const idleMaxMs = 5000
const idleInTransactionMaxMs = 3000
const walSenderTimeoutMs = 3000
const tendIntervalMs = 250

class Session {
  alive = true
  busy = 0
  /** The end of the newest call's service: a connection brings calls in order, and the database serves one at a time. */
  served: Promise<void> = Promise.resolve()
  lastActiveAt: number
  transaction: Transaction | undefined
  readonly process: Process
  readonly ended = Promise.withResolvers<Error>()

  constructor(process: Process, now: number) {
    this.process = process
    this.lastActiveAt = now
  }
}

export class Sessions {
  readonly #database: SimulatedDatabase
  readonly #scheduler: Scheduler
  readonly #sessions = new Set<Session>()
  readonly #advisoryLocks = new Map<string, Session>()

  constructor(database: SimulatedDatabase, scheduler: Scheduler) {
    this.#database = database
    this.#scheduler = scheduler
    this.#tend()
  }

  #tend(): void {
    for (const session of this.#sessions) {
      const idleMs = (this.#scheduler.now - session.lastActiveAt) / 1000
      const max = session.transaction ? idleInTransactionMaxMs : idleMaxMs
      if (session.busy === 0 && idleMs > max) this.#end(session, 'idle for too long')
    }
    this.#database.wal.tend(walSenderTimeoutMs)
    this.#scheduler.after(tendIntervalMs * 1000, () => this.#tend())
  }

  crash(): void {
    this.#database.crash()
    for (const session of this.#sessions) this.#end(session, 'the database crashed')
  }

  #end(session: Session, reason: string): void {
    if (!session.alive) return
    session.alive = false
    this.#sessions.delete(session)
    for (const [name, holder] of this.#advisoryLocks) if (holder === session) this.#advisoryLocks.delete(name)
    if (session.transaction && !session.transaction.ended) this.#database.rollback(session.transaction)
    const { process, ended } = session
    this.#scheduler.after(process.delay(), () => process.learn(() => ended.resolve(new Error(reason))))
  }

  /** One call on a session, executed in the database. */
  #call<T>(session: Session, name: string, serve: () => T | Promise<T>): Promise<T> {
    const before = session.served
    const { promise: served, resolve: end } = Promise.withResolvers<void>()
    session.served = served
    return session.process.call(name, async () => {
      await before
      session.busy++
      try {
        if (!session.alive) throw new DatabaseError('08006', 'the connection is gone')
        return await serve()
      } finally {
        session.busy--
        session.lastActiveAt = this.#scheduler.now
        end()
      }
    })
  }

  openMergeSession(process: Process): Promise<MergeSession> {
    const database = this.#database
    return process.call('connect', (): MergeSession => {
      if (!database.up) throw new DatabaseError('57P03', 'the database is down')
      const session = new Session(process, this.#scheduler.now)
      this.#sessions.add(session)
      process.onDeath(() => this.#end(session, 'the client is gone'))
      const call = <T>(name: string, serve: () => T | Promise<T>): Promise<T> =>
        this.#call(session, name, serve)
      return {
        lost: session.ended.promise,
        tryLock: (cluster) => call('tryLock', () => this.#tryLock(session, cluster)),
        ping: () => call('ping', () => {}),
        readOffsets: (topic) => call('readOffsets', () => database.readOffsets(topic)),
        setOffsets: (topic, offsets) =>
          call('setOffsets', () => {
            for (const [partition, offset] of offsets) {
              database.offsets.committed.set(`${topic.topicId}/${partition}`, offset)
            }
          }),
        readOwnPosition: () => call('readOwnPosition', () => database.readOwnPosition()),
        refuseWrites: (reason) =>
          call('refuseWrites', () => void database.incarnation.committed.set('refused', reason)),
        readSources: () => call('readSources', () => database.readSources()),
        readGaps: (clusterId) => call('readGaps', () => database.readGaps(clusterId)),
        recordGap: (clusterId, actor, reason) =>
          call('recordGap', () => void database.gaps.committed.set(`${clusterId}/${actor}`, reason)),
        transaction: (work) => this.#transaction(session, work),
        close: () => void this.#scheduler.after(process.delay(), () => this.#end(session, 'closed')),
      }
    })
  }

  #tryLock(session: Session, cluster: string): boolean {
    const holder = this.#advisoryLocks.get(cluster)
    if (!holder) this.#advisoryLocks.set(cluster, session)
    return !holder || holder === session
  }

  async #transaction<T>(session: Session, work: (statements: MergeTransaction) => Promise<T>): Promise<T> {
    const transaction = await this.#call(session, 'BEGIN', () => {
      session.transaction = this.#database.begin()
      return session.transaction
    })
    try {
      const result = await work(this.#remote(session, transaction))
      await this.#call(session, 'COMMIT', () => {
        if (transaction.aborted) this.#database.rollback(transaction)
        else this.#database.commit(transaction)
        session.transaction = undefined
      })
      return result
    } catch (error) {
      await this.#call(session, 'ROLLBACK', () => {
        if (!transaction.ended) this.#database.rollback(transaction)
        session.transaction = undefined
      }).catch(() => {}) // the session is gone too, and its transaction with it
      throw error
    }
  }

  /** Each statement as a call over the network. An empty one is none, as in `backend/src/postgres/`. */
  #remote(session: Session, transaction: Transaction): MergeTransaction {
    const statements = mergeStatements(this.#database, transaction)
    const isEmpty = (argument: unknown): boolean => {
      const items = (argument as Partial<Encoded<unknown>> | undefined)?.items ?? argument
      return Array.isArray(items) && items.length === 0
    }
    return Object.fromEntries(
      Object.entries(statements).map(([name, statement]: [string, (...given: unknown[]) => unknown]) => [
        name,
        (...given: unknown[]) =>
          isEmpty(given[0])
            ? statement(...given)
            : this.#call(session, name, () =>
                this.#serve(session, transaction, name, () => statement(...given)),
              ),
      ]),
    ) as unknown as MergeTransaction
  }

  async #serve(
    session: Session,
    transaction: Transaction,
    name: string,
    statement: () => unknown,
  ): Promise<unknown> {
    const { region, observer } = this.#database
    if (session.transaction !== transaction) observer.onStray(region, name)
    if (transaction.aborted) throw new DatabaseError('25P02', 'the transaction is aborted')
    try {
      return await statement()
    } catch (error) {
      transaction.aborted ||= error instanceof DatabaseError
      throw error
    }
  }

  /** The slot, and the heartbeats that a process sends through it. */
  replicationSource(process: Process): ReplicationSource {
    const { wal } = this.#database
    return {
      open: (sink) =>
        process.call('open', () => {
          if (!this.#database.up) throw new DatabaseError('57P03', 'the database is down')
          return wal.open(process, sink)
        }),
      beginRun: () => process.call('beginRun', () => beginRun(this.#database)),
      emitHeartbeat: (heartbeat) => process.call('heartbeat', () => emitHeartbeat(this.#database, heartbeat)),
    }
  }
}
