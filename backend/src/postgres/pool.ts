/**
 * Connections to the region's PostgreSQL.
 *
 * Invariant: every wait on the database is bounded, on both ends of the connection. The sum of the pool's wait and the
 * statement's stays below NGINX's read timeout, so a slow database answers as a clear 503 and only a hung process
 * ever times out.
 */

import pg from 'pg'

/** Longest wait for a free or new connection, ms. */
export const poolWaitMs = 200
/** Longest statement of a request, ms, enforced by the server. */
export const statementTimeoutMs = 400
/** Longest statement as seen from here, ms: covers a server that no longer answers. */
export const queryTimeoutMs = 450

const toNumber = (text: string): number => Number(text)
const { INT8, NUMERIC } = pg.types.builtins
const defaultParser: (oid: number) => (text: string) => unknown = pg.types.getTypeParser
const numericTypes = new Map<number, (text: string) => unknown>([
  [INT8, toNumber],
  [NUMERIC, toNumber],
])

/**
 * int8 and numeric as JavaScript numbers: every such column of this schema is exact in a double (ids and versions
 * below 2^53, prices below 2^53 / 100).
 */
export const types: pg.CustomTypesConfig = {
  getTypeParser: (oid: number) => numericTypes.get(oid) ?? defaultParser(oid),
}

/**
 * The pool of request handlers. Idle connections that break are dropped and counted by `onError`; those that work are
 * kept, since a burst of requests after a quiet time would otherwise wait for new ones longer than it may.
 */
export function createPool(
  databaseUrl: string,
  { max, onError }: { max: number; onError: (error: Error) => void },
): pg.Pool {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max,
    min: max,
    types,
    connectionTimeoutMillis: poolWaitMs,
    statement_timeout: statementTimeoutMs,
    query_timeout: queryTimeoutMs,
    idle_in_transaction_session_timeout: 3000,
    keepAlive: true,
    application_name: 'meridian-http',
  })
  // Without a listener, an idle connection that breaks would end the process.
  pool.on('error', onError)
  return pool
}

/** How often opening all connections is tried at most, in multiples of their number. */
const openAttemptsPerConnection = 2

/** The pool finds out by itself that a client is broken when it gets it back. */
const dropBroken = (): void => {}

/** Opens the pool's connections one by one before requests need them, as far as the server gives them in time. */
export async function openConnections(pool: pg.Pool): Promise<void> {
  const { max } = pool.options
  const clients: pg.PoolClient[] = []
  for (let attempt = 0; attempt < max * openAttemptsPerConnection && clients.length < max; attempt++) {
    const client = await pool.connect().catch(() => undefined) // what fails now is tried again by requests
    // The pool listens only while it holds a client, and without a listener one that breaks would end the process.
    if (client) clients.push(client.on('error', dropBroken))
  }
  for (const client of clients) client.off('error', dropBroken).release()
}

/** Longest wait for a new connection of a background service, ms. */
const connectWaitMs = 3000
/** A connection on which nothing is sent is probed after so long, ms; Node's default is the system's, two hours. */
const keepAliveAfterMs = 10_000
/** Longest statement of a background service, ms: a slow disk must not look like a failure. */
const serviceStatementTimeoutMs = 3000
/** As `queryTimeoutMs`, of a background service. */
const serviceQueryTimeoutMs = 3500

/** The one connection for small statements of a background service, opened when there is one; requests cannot keep it. */
export function createServicePool(databaseUrl: string, application_name: string): pg.Pool {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: 1,
    types,
    connectionTimeoutMillis: connectWaitMs,
    statement_timeout: serviceStatementTimeoutMs,
    query_timeout: serviceQueryTimeoutMs,
    application_name,
  })
  pool.on('error', () => {}) // an idle connection that breaks is replaced by the next statement
  return pool
}

/**
 * One connection of a long-lived service. Its loss is reported through `lost`, which never rejects unobserved.
 *
 * @throws if the database cannot be reached within 3 s.
 */
export async function connect(
  databaseUrl: string,
  config: pg.ClientConfig & { application_name: string },
): Promise<{ client: pg.Client; lost: Promise<Error> }> {
  const client = new pg.Client({
    connectionString: databaseUrl,
    types,
    connectionTimeoutMillis: connectWaitMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveAfterMs,
    ...config,
  })
  const { promise: lost, resolve } = Promise.withResolvers<Error>()
  client.on('error', resolve)
  client.on('end', () => resolve(new Error('the connection to PostgreSQL ended')))
  await client.connect()
  return { client, lost }
}

/** Settings of a session, from its first moment on. */
export const sessionOptions = (settings: Readonly<Record<string, number>>): string =>
  Object.entries(settings)
    .map(([name, value]) => `-c ${name}=${value}`)
    .join(' ')

/** A statement whose client is gone ends. Before version 15 PostgreSQL can find that out on Linux only. */
export async function endStatementsWithClient(client: pg.Client): Promise<void> {
  await client.query('SET client_connection_check_interval = 1000').catch(() => {})
}
