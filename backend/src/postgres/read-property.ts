import type pg from 'pg'
import type { PropertyState } from '../domain/property.ts'
import { stateColumns, stateOf, type StateRow } from './columns.ts'

/** The state of one property, or undefined if there is none. */
export async function readProperty(
  database: pg.Pool | pg.ClientBase,
  id: number,
): Promise<PropertyState | undefined> {
  const { rows } = await database.query<StateRow>({
    name: 'read-property',
    text: `SELECT ${stateColumns()} FROM properties WHERE id = $1::bigint`,
    values: [id],
  })
  return rows[0] && stateOf(rows[0])
}
