/**
 * The statements of a relay's heartbeats, as a simulated database executes them: they lock what those in
 * `backend/src/postgres/emit-heartbeat.ts` lock, in their order.
 */

import { SupersededError, type HeartbeatOrigin } from '../backend/src/postgres/emit-heartbeat.ts'
import { formatLsn } from '../backend/src/postgres/lsn.ts'
import { flushUs, serviceStatementMaxMs, type SimulatedDatabase } from './database.ts'
import type { Transaction } from './transactions.ts'

/** Runs one statement in a transaction of its own, which ends with it. */
async function inTransaction<T>(
  database: SimulatedDatabase,
  work: (transaction: Transaction) => Promise<T>,
): Promise<T> {
  database.checkUp()
  const transaction = database.begin()
  try {
    return await work(transaction)
  } finally {
    if (!transaction.ended) database.rollback(transaction)
  }
}

/** Waits for a heartbeat that is under way, then reads the end of the WAL. */
export function beginRun(database: SimulatedDatabase): Promise<string> {
  return inTransaction(database, async (transaction) => {
    await database.lock(transaction, 'incarnation', serviceStatementMaxMs)
    const run = `r${database.runs++}@${formatLsn(database.wal.end)}`
    transaction.set(database.incarnation, 'run', run)
    await database.pause(transaction, flushUs)
    database.commit(transaction)
    return run
  })
}

/** Its snapshot is that of the statement's start, also if it waits for a run that begins. */
export function emitHeartbeat(
  database: SimulatedDatabase,
  { actor, since, run }: HeartbeatOrigin,
): Promise<boolean> {
  return inTransaction(database, async (transaction) => {
    const [xmin, t] = [String(database.xmin()), database.clock]
    const applied = Object.fromEntries(
      [...database.sources.committed.keys()].flatMap((source) => {
        const watermark = database.watermarkOf(source)
        return watermark ? [[source, watermark]] : []
      }),
    )
    const heartbeat = { schema: 1, type: 'heartbeat', actor, xmin, t, since, run, applied }
    await database.lock(transaction, 'incarnation', serviceStatementMaxMs)
    if (database.incarnation.committed.get('run') !== run) {
      throw new SupersededError('another relay of this region has begun')
    }
    const { streams } = database.wal
    database.emit(transaction, JSON.stringify(heartbeat))
    await database.pause(transaction, flushUs)
    database.commit(transaction)
    return streams
  })
}
