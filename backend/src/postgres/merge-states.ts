/**
 * Stores states that may replace what is there: new properties, and rows that have seen nothing which the given state
 * has not (their vector is dominated), so a copy is the merge.
 *
 * Invariant: rows are locked in the order of their ids, also those that are not replaced, so that batches and writes
 * cannot deadlock. The upsert reaches each row by its primary key and joins nothing: `unnest` joined to a locking CTE
 * made a nested loop of 28 s for a batch of 1,000.
 */

import type pg from 'pg'
import { fieldNames } from '../domain/fields.ts'
import type { PropertyState } from '../domain/property.ts'
import { versionOf } from '../domain/stamp.ts'
import { fieldColumns, stateColumns } from './columns.ts'
import type { Encoded } from './encoded.ts'

const replaced = [...fieldNames, 'version', 'vector', 'stamps', 'extra']

const sql = `
INSERT INTO properties AS p (${stateColumns()})
SELECT ${stateColumns()}
FROM jsonb_to_recordset($1::jsonb) AS incoming (
  id bigint, region_origin text, ${fieldColumns},
  version bigint, vector jsonb, stamps jsonb, extra jsonb)
ORDER BY id
ON CONFLICT (id) DO UPDATE
SET ${replaced.map((name) => `${name} = excluded.${name}`).join(', ')}
WHERE p.vector <> excluded.vector
  AND NOT EXISTS (
    SELECT FROM jsonb_each_text(p.vector) AS seen (actor, n)
    WHERE coalesce((excluded.vector->>seen.actor)::bigint, 0) < seen.n::bigint)
RETURNING p.id`

/** At most one state per id. */
export function encodeStates(states: readonly PropertyState[]): Encoded<PropertyState> {
  const incoming = states.map(({ fields, ...state }) => ({
    ...state,
    ...fields,
    version: versionOf(state.vector),
  }))
  return { items: states, json: JSON.stringify(incoming) }
}

/** Returns the ids that were stored; the rows of all the others are locked. */
export async function mergeStates(
  client: pg.ClientBase,
  { items, json }: Encoded<PropertyState>,
): Promise<ReadonlySet<number>> {
  if (items.length === 0) return new Set()
  const { rows } = await client.query<{ id: number }>({
    name: 'merge-states',
    text: sql,
    values: [json],
  })
  return new Set(rows.map((row) => row.id))
}
