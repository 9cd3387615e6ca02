import type pg from 'pg'
import type { PropertyState } from '../domain/property.ts'
import { stateColumns, stateOf, type StateRow } from './columns.ts'

/** The states of these properties, their rows locked in the order of their ids. */
export async function lockStates(
  client: pg.ClientBase,
  ids: readonly number[],
): Promise<readonly PropertyState[]> {
  if (ids.length === 0) return []
  const { rows } = await client.query<StateRow>(
    `SELECT ${stateColumns()} FROM properties WHERE id = ANY ($1::bigint[]) ORDER BY id FOR UPDATE`,
    [ids],
  )
  return rows.map(stateOf)
}
