/**
 * Whether a load was correct: a fast wrong run counts for nothing.
 *
 * Every property has as many new versions as there were acknowledged writes, every one of them has a claim, and both
 * regions hold the same. Requests that were under way when the load ended are the only ones that may have been accepted
 * unseen, and no more than there were.
 */

import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import { waitUntil } from '../local/wait.ts'
import type { Bed } from './bed.ts'
import { failedShareMax, type PutResult } from './load/wrk.ts'

const equalTimeoutMs = 300_000
const equalIntervalMs = 250
/** After this time no request is under way any more. */
const answerMaxMs = 700
const problemsShownMax = 5

export type Versions = ReadonlyMap<number, number>

/** Versions of the properties that were written to. */
export async function readVersions(database: pg.Pool): Promise<Versions> {
  const { rows } = await database.query<{ id: number; version: number }>(
    'SELECT id::integer, version::integer FROM properties WHERE version <> 1',
  )
  return new Map(rows.map(({ id, version }) => [id, version]))
}

/** Requests that were accepted, and how often; they differ if two regions have accepted the same request. */
export async function countClaims(database: pg.Pool): Promise<{ requests: number; acceptances: number }> {
  const { rows } = await database.query<{ requests: number; acceptances: number }>(
    `SELECT count(*)::float8 AS requests, coalesce(sum(jsonb_array_length(acceptances)), 0)::float8 AS acceptances
     FROM claims`,
  )
  return rows[0] ?? { requests: Number.NaN, acceptances: Number.NaN }
}

/** Runs a load of writes on the first region and holds the database to its result. */
export async function checkedPut(
  bed: Bed,
  load: (versions: Versions) => Promise<PutResult>,
): Promise<PutResult> {
  const database = bed.database('us')
  const [before, claimsBefore] = [await readVersions(database), await countClaims(database)]
  const result = await load(before)
  bed.overloads += result.busy
  await delay(answerMaxMs)
  const [after, claimsAfter] = [await readVersions(database), await countClaims(database)]
  const written = sum(after) - sum(before)
  const accepted = claimsAfter.acceptances - claimsBefore.acceptances
  const twins = accepted - (claimsAfter.requests - claimsBefore.requests)
  throwIfAny([
    ...findProblems(result, before, after, twins),
    ...(accepted === written ? [] : [`${accepted} acceptances for ${written} writes`]),
  ])
  return result
}

/**
 * What a load's result and the versions before and after it say against each other; `twins` are requests that both
 * regions have accepted, which NGINX brings about if it has to try again. Pure.
 */
export function findProblems(result: PutResult, before: Versions, after: Versions, twins = 0): string[] {
  const { sent, ok, refused, busy, other, wrong, errors, acknowledged } = result
  const problems: string[] = []
  if (ok === 0) problems.push('no write was accepted')
  if (other > 0) problems.push(`${other} unexpected answers`)
  if (busy > sent * failedShareMax) problems.push(`${busy} of ${sent} writes were refused for overload`)
  if (wrong > 0) problems.push(`${wrong} answers with a version that does not follow the client's`)
  if (errors > 0) problems.push(`${errors} requests failed or took two seconds`)
  const known = new Map(acknowledged)
  let unseen = 0
  for (const id of new Set([...known.keys(), ...after.keys()])) {
    const written = (after.get(id) ?? 1) - (before.get(id) ?? 1)
    const more = written - (known.get(id) ?? 0)
    if (more < 0) problems.push(`property ${id}: ${known.get(id)} writes acknowledged, ${written} done`)
    else unseen += more
  }
  const unknown = sent - ok - refused - other + twins
  if (unseen > unknown) problems.push(`${unseen} writes done unseen, ${unknown} requests without an outcome`)
  return problems
}

/** Runs writes of pgbench and holds the database to their number. */
export async function checkedAnchor<T extends { readonly transactions: number }>(
  database: pg.Pool,
  load: () => Promise<T>,
): Promise<T> {
  const before = await readVersions(database)
  const result = await load()
  const written = sum(await readVersions(database)) - sum(before)
  if (written !== result.transactions) {
    throwIfAny([`pgbench ran ${result.transactions} writes, the database has ${written} more`])
  }
  return result
}

/** Accepted writes in all. */
export function sum(versions: Versions): number {
  let writes = 0
  for (const version of versions.values()) writes += version - 1
  return writes
}

/** Starts replication if it does not run, and waits until both regions hold the same. */
export async function checkEqualRegions(bed: Bed): Promise<void> {
  await bed.startReplication()
  await waitForCatchUp(bed)
  const [us, eu] = [bed.database('us'), bed.database('eu')]
  const [left, right] = await Promise.all([us, eu].map(readDigest))
  if (JSON.stringify(left) !== JSON.stringify(right)) {
    throwIfAny([`the regions differ:\n${JSON.stringify(left)}\n${JSON.stringify(right)}`])
  }
  const { rows } = await eu.query<{ reason: string }>(
    'SELECT reason FROM quarantine UNION ALL SELECT reason FROM replication_gaps LIMIT 5',
  )
  throwIfAny(rows.map(({ reason }) => `refused or lost: ${reason}`))
}

/** Waits until the other region has every write, and returns how long that took, in ms. */
export async function waitForCatchUp(bed: Bed): Promise<number> {
  const databases = [bed.database('us'), bed.database('eu')]
  const began = performance.now()
  await waitUntil(
    async () => {
      const [here, there] = await Promise.all(databases.map(readProgress))
      return here === there
    },
    { timeoutMs: equalTimeoutMs, intervalMs: equalIntervalMs, what: 'the other region to catch up' },
  )
  return performance.now() - began
}

/** All accepted writes, as far as a region knows them. */
export async function readProgress(database: pg.Pool): Promise<number> {
  const { rows } = await database.query<{ writes: number }>(
    'SELECT (sum(version) - count(*))::float8 AS writes FROM properties',
  )
  return rows[0]?.writes ?? Number.NaN
}

/** All that is replicated, as a sum of its rows' hashes. */
async function readDigest(database: pg.Pool): Promise<unknown> {
  const digest = (rows: string): string =>
    `(SELECT count(*) || ' ' || coalesce(sum(hashtextextended(row, 0)), 0) FROM (${rows}) AS r)`
  const { rows } = await database.query(
    `SELECT ${digest('SELECT p::text AS row FROM properties AS p')} AS properties,
      ${digest('SELECT c::text AS row FROM conflicts AS c')} AS conflicts,
      ${digest(`SELECT request_id || acceptances::text AS row FROM claims`)} AS claims`,
  )
  return rows[0]
}

function throwIfAny(problems: readonly string[]): void {
  if (problems.length === 0) return
  const shown = problems.slice(0, problemsShownMax)
  const rest = problems.length - shown.length
  throw new Error(`WRONG: ${shown.join('; ')}${rest > 0 ? `; and ${rest} more` : ''}`)
}
