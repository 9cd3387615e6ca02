/**
 * Tables with transactions: what a simulated PostgreSQL does of READ COMMITTED.
 *
 * Invariant: what a transaction writes is its own until it commits, and every row that it writes is locked by it. A
 * transaction has an id from its first write on, in the order of these writes; commits have an order of their own.
 */

import type { Alarm, Scheduler } from './scheduler.ts'

/** An error with an SQLSTATE, as PostgreSQL answers it. */
export class DatabaseError extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

export class Table<K, V> {
  readonly name: string
  readonly committed = new Map<K, V>()

  constructor(name: string) {
    this.name = name
  }
}

export interface WalMessage {
  readonly prefix: string
  readonly text: string
}

export class Transaction {
  xid: number | undefined
  ended = false
  /** A statement of it has failed: nothing but its end is taken. */
  aborted = false
  readonly messages: WalMessage[] = []
  /** What the simulation has to know if this commits. */
  readonly onCommit: (() => void)[] = []
  readonly locks = new Set<string>()
  readonly changes = new Map<Table<unknown, unknown>, Map<unknown, unknown>>()

  get<K, V>(table: Table<K, V>, key: K): V | undefined {
    const own = this.changes.get(table)
    return own?.has(key) ? (own.get(key) as V) : table.committed.get(key)
  }

  set<K, V>(table: Table<K, V>, key: K, value: V): void {
    const known = this.changes.get(table)
    if (known) known.set(key, value)
    else this.changes.set(table, new Map<unknown, unknown>([[key, value]]))
  }
}

interface Waiter {
  readonly transaction: Transaction
  readonly alarm: Alarm
  readonly grant: () => void
  readonly refuse: (error: Error) => void
}

export class Locks {
  readonly #scheduler: Scheduler
  readonly #held = new Map<string, { holder: Transaction; waiters: Waiter[] }>()

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler
  }

  isHeldByOther(transaction: Transaction, key: string): boolean {
    const lock = this.#held.get(key)
    return lock !== undefined && lock.holder !== transaction
  }

  /** @throws {DatabaseError} if the lock is not free within `waitMs`, or the transaction is ended meanwhile. */
  async acquire(transaction: Transaction, key: string, waitMs: number): Promise<void> {
    const lock = this.#held.get(key)
    if (!lock) {
      this.#held.set(key, { holder: transaction, waiters: [] })
      transaction.locks.add(key)
      return
    }
    if (lock.holder === transaction) return
    await new Promise<void>((grant, refuse) => {
      const alarm = this.#scheduler.after(waitMs * 1000, () => {
        lock.waiters = lock.waiters.filter((waiter) => waiter.alarm !== alarm)
        refuse(new DatabaseError('55P03', `${key} is locked`))
      })
      lock.waiters.push({ transaction, alarm, grant, refuse })
    })
  }

  /** Frees what a transaction holds, and ends its waits. */
  release(transaction: Transaction): void {
    for (const lock of this.#held.values()) {
      const own = lock.waiters.filter((waiter) => waiter.transaction === transaction)
      for (const { alarm, refuse } of own) {
        alarm.cancel()
        refuse(new DatabaseError('57P01', 'the session was ended'))
      }
      if (own.length > 0) lock.waiters = lock.waiters.filter((waiter) => waiter.transaction !== transaction)
    }
    for (const key of transaction.locks) this.#pass(key)
    transaction.locks.clear()
  }

  #pass(key: string): void {
    const lock = this.#held.get(key)
    const next = lock?.waiters.shift()
    if (!lock || !next) {
      this.#held.delete(key)
      return
    }
    lock.holder = next.transaction
    next.transaction.locks.add(key)
    next.alarm.cancel()
    next.grant()
  }
}
