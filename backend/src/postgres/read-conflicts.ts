import type pg from 'pg'
import type { ConflictRecord } from '../domain/conflict.ts'

/** Open conflicts of all properties, newest loss first. */
export async function readOpenConflicts(
  database: pg.Pool | pg.ClientBase,
  limit: number,
): Promise<readonly ConflictRecord[]> {
  const { rows } = await database.query<{ record: ConflictRecord }>({
    name: 'read-open-conflicts',
    text: 'SELECT record FROM conflicts WHERE open ORDER BY written_at DESC, id DESC LIMIT $1::integer',
    values: [limit],
  })
  return rows.map((row) => row.record)
}

/** At most this many records of one property are read; the newest ones. */
const conflictsPerPropertyMax = 1000

/** All conflict records of one property, newest loss first; undefined if there is no such property. */
export async function readConflictsOf(
  database: pg.Pool | pg.ClientBase,
  propertyId: number,
): Promise<readonly ConflictRecord[] | undefined> {
  const { rows } = await database.query<{ record: ConflictRecord | null }>({
    name: 'read-conflicts-of',
    text: `
      SELECT c.record
      FROM properties AS p LEFT JOIN conflicts AS c ON c.property_id = p.id
      WHERE p.id = $1::bigint
      ORDER BY c.written_at DESC, c.id DESC
      LIMIT ${conflictsPerPropertyMax}`,
    values: [propertyId],
  })
  if (rows.length === 0) return undefined
  return rows.flatMap((row) => (row.record ? [row.record] : []))
}
