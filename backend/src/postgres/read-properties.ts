import type pg from 'pg'
import type { PropertyState } from '../domain/property.ts'
import { stateColumns, stateOf, type StateRow } from './columns.ts'

/** The states of the properties that are there, in any order. */
export async function readProperties(
  database: pg.Pool | pg.ClientBase,
  ids: readonly number[],
): Promise<readonly PropertyState[]> {
  const { rows } = await database.query<StateRow>({
    name: 'read-properties',
    text: `SELECT ${stateColumns()} FROM properties WHERE id = ANY ($1::bigint[])`,
    values: [ids],
  })
  return rows.map(stateOf)
}
