/**
 * Both regions' databases, compared with each other.
 *
 * Everything that is replicated is compared, as PostgreSQL prints it: properties and conflict records with all
 * columns, claims without the time of their local arrival. Nothing may be in quarantine, and nothing may be missing.
 */

import type pg from 'pg'
import { waitUntil } from '../../local/wait.ts'
import { regionNames, type RegionName, type System } from './system.ts'

type Databases = Pick<System, 'databases'>

/** Replicated tables: key and text of each row. */
const replicated = {
  properties: 'SELECT id::text AS key, p::text AS row FROM properties AS p',
  conflicts: 'SELECT id AS key, c::text AS row FROM conflicts AS c',
  claims: 'SELECT request_id AS key, acceptances::text AS row FROM claims',
} as const

const digestSql = Object.entries(replicated)
  .map(
    ([table, rows]) =>
      `(SELECT count(*) || ' ' || coalesce(md5(string_agg(key || row, ',' ORDER BY key)), '') FROM (${rows}) AS r) AS ${table}`,
  )
  .join(', ')

const differencesShownMax = 5

/** One line per replicated table; equal exactly if the tables are. */
async function digest(database: pg.Pool): Promise<string> {
  const { rows } = await database.query<Record<string, string>>(`SELECT ${digestSql}`)
  return JSON.stringify(rows[0])
}

/**
 * Waits until both regions hold the same, and returns how long after `since` (on `performance.now()`) they did.
 *
 * @throws with the first rows that differ if they do not within `timeoutMs`, or if anything is in quarantine.
 */
export async function waitForEqualRegions(
  system: Databases,
  { since, timeoutMs }: { since: number; timeoutMs: number },
): Promise<number> {
  const { us, eu } = system.databases
  let equalAt = 0
  const equal = async (): Promise<boolean> => {
    const [left, right] = await Promise.all([digest(us), digest(eu)])
    equalAt = performance.now()
    return left === right
  }
  try {
    await waitUntil(equal, { timeoutMs, intervalMs: 20, what: 'equal regions' })
  } catch (error) {
    const differences = await findDifferences(system)
    throw new Error(`the regions differ:\n${differences.join('\n')}`, { cause: error })
  }
  for (const region of regionNames) await assertNothingMissing(system, region)
  return Math.max(0, equalAt - since)
}

async function findDifferences({ databases }: Databases): Promise<string[]> {
  const lines: string[] = []
  for (const [table, sql] of Object.entries(replicated)) {
    const [us, eu] = await Promise.all([rowsByKey(databases.us, sql), rowsByKey(databases.eu, sql)])
    const keys = [...new Set([...us.keys(), ...eu.keys()])].filter((key) => us.get(key) !== eu.get(key))
    if (keys.length > 0) lines.push(`${table}: ${keys.length} differ`)
    for (const key of keys.slice(0, differencesShownMax)) {
      lines.push(`  ${key}`, `    us ${us.get(key)}`, `    eu ${eu.get(key)}`)
    }
  }
  return lines
}

async function rowsByKey(database: pg.Pool, sql: string): Promise<Map<string, string>> {
  const { rows } = await database.query<{ key: string; row: string }>(sql)
  return new Map(rows.map(({ key, row }) => [key, row]))
}

async function assertNothingMissing({ databases }: Databases, region: RegionName): Promise<void> {
  const { rows } = await databases[region].query<{ reason: string }>(
    'SELECT reason FROM quarantine UNION ALL SELECT reason FROM replication_gaps LIMIT 5',
  )
  if (rows.length > 0) {
    throw new Error(`${region} has lost or refused events: ${rows.map(({ reason }) => reason).join('; ')}`)
  }
}
