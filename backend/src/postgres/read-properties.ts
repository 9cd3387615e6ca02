import type pg from 'pg'
import type { PropertyState } from '../domain/property.ts'
import type { Vector } from '../domain/stamp.ts'
import { stateColumns, stateOf, type StateRow } from './columns.ts'

export interface WantedProperty {
  readonly id: number
  /** Of the state that is known already, if one is. */
  readonly vector?: Vector | undefined
}

/** OFFSET 0 keeps the subquery one, which reaches each row by its primary key: a join would read a small table whole. */
const sql = `
SELECT wanted.id AS wanted_id, ${stateColumns('p')}
FROM jsonb_to_recordset($1::jsonb) AS wanted (id bigint, vector jsonb)
  LEFT JOIN LATERAL (SELECT * FROM properties WHERE properties.id = wanted.id OFFSET 0) AS p ON true
WHERE p.vector IS DISTINCT FROM wanted.vector`

type Row = { readonly wanted_id: number; readonly id: number | null } & Omit<StateRow, 'id'>

const isThere = (row: Row): row is Row & StateRow => row.id !== null

/**
 * The states of those properties that are not as they are known, by id; undefined for one that is not there any more.
 * One that is not known and not there is left out.
 */
export async function readProperties(
  database: pg.Pool | pg.ClientBase,
  wanted: readonly WantedProperty[],
): Promise<ReadonlyMap<number, PropertyState | undefined>> {
  const { rows } = await database.query<Row>({
    name: 'read-properties',
    text: sql,
    values: [JSON.stringify(wanted)],
  })
  return new Map(rows.map((row) => [row.wanted_id, isThere(row) ? stateOf(row) : undefined]))
}
