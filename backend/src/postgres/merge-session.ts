/**
 * The session in which an applier merges.
 *
 * Invariant: a frozen applier loses it, and with it the advisory lock and all row locks, after 5 s idle or 3 s inside
 * a transaction. So another applier can take over, and this one finds that it was replaced.
 */

import type pg from 'pg'
import { emitEvents } from './emit-events.ts'
import { readGaps, recordGap } from './gaps.ts'
import { advanceOffsets, readOffsets, setOffsets } from './kafka-offsets.ts'
import { lockStates } from './lock-states.ts'
import { mergeClaims, readClaims } from './merge-claims.ts'
import { mergeConflicts } from './merge-conflicts.ts'
import { mergeMarks, storeSource } from './merge-marks.ts'
import { mergeStates } from './merge-states.ts'
import { connect, endStatementsWithClient, sessionOptions } from './pool.ts'
import { quarantineRecord } from './quarantine-record.ts'
import { readSources } from './read-sources.ts'

/** First key of the advisory lock; the second is a hash of the cluster's name. */
const applierLockClass = 7_140_002

const sessionSettings = {
  idle_session_timeout: 5000,
  idle_in_transaction_session_timeout: 3000,
  lock_timeout: 2000,
  statement_timeout: 20_000,
}

type Statement = (client: pg.ClientBase, ...rest: never[]) => unknown
type Bound<S> = {
  [K in keyof S]: S[K] extends (client: pg.ClientBase, ...rest: infer R) => infer T
    ? (...rest: R) => T
    : never
}

/** Statements that take a connection first, as methods of one connection. */
const bind = <S extends Record<string, Statement>>(client: pg.ClientBase, statements: S): Bound<S> =>
  Object.fromEntries(
    Object.entries(statements).map(([name, statement]) => [name, statement.bind(undefined, client)]),
  ) as Bound<S>

/** The statements of the transaction that is open on this connection. */
export const mergeTransaction = (client: pg.ClientBase) =>
  bind(client, {
    advanceOffsets,
    mergeStates,
    lockStates,
    mergeClaims,
    readClaims,
    mergeConflicts,
    emitEvents,
    quarantineRecord,
    storeSource,
    mergeMarks,
    recordGap,
    readOwnPosition,
    refuseWrites,
  })

/** @throws if the database cannot be reached within 3 s. */
export async function openMergeSession(databaseUrl: string) {
  const { client, lost } = await connect(databaseUrl, {
    application_name: 'meridian-applier',
    options: sessionOptions(sessionSettings),
    query_timeout: 25_000, // of all that is sent together
    ...({ pipeline: true } as object), // what is asked for together is sent together
  })
  await endStatementsWithClient(client)
  const statements = mergeTransaction(client)
  return {
    ...bind(client, {
      tryLock,
      ping,
      readOffsets,
      setOffsets,
      readSources,
      readGaps,
      recordGap,
      readOwnPosition,
      refuseWrites,
    }),
    lost,
    transaction: <T>(work: (transaction: typeof statements) => Promise<T>) =>
      inTransaction(client, () => work(statements)),
    close() {
      void client.end().catch(() => {})
      client.connection.stream.destroy() // `end` alone would wait for what is under way
    },
  }
}

async function tryLock(client: pg.ClientBase, cluster: string): Promise<boolean> {
  const { rows } = await client.query<{ locked: boolean }>(
    'SELECT pg_try_advisory_lock($1, hashtext($2)) AS locked',
    [applierLockClass, cluster],
  )
  return rows[0]?.locked ?? false
}

async function ping(client: pg.ClientBase): Promise<void> {
  await client.query('SELECT 1')
}

async function readOwnPosition(client: pg.ClientBase): Promise<{ run: string | null; walEnd: string }> {
  const { rows } = await client.query<{ run: string | null; walEnd: string }>(
    'SELECT run, pg_current_wal_insert_lsn()::text AS "walEnd" FROM incarnation',
  )
  if (!rows[0]) throw new Error('the database has no incarnation')
  return rows[0]
}

async function refuseWrites(client: pg.ClientBase, reason: string): Promise<void> {
  await client.query('UPDATE incarnation SET refused = coalesce(refused, $1)', [reason])
}

/** Waits for BEGIN: if it failed, statements sent along with it would commit one by one. */
async function inTransaction<T>(client: pg.ClientBase, work: () => Promise<T>): Promise<T> {
  await client.query('BEGIN')
  try {
    const result = await work()
    await client.query('COMMIT')
    return result
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {}) // the session is gone too, and its transaction with it
    throw error
  }
}
