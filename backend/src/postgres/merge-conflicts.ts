/** Unites conflict records with what is there. Only the applier writes this table, in its own transaction. */

import type pg from 'pg'
import { conflictsToStore, type ConflictRecord } from '../domain/conflict.ts'

const storeSql = `
INSERT INTO conflicts (id, property_id, written_at, open, record)
SELECT record->>'id', (record->>'property_id')::bigint, (record->'stamp'->>1)::bigint,
  record->>'kind' <> 'duplicate' AND NOT coalesce((record->'resolution'->>'resolved')::boolean, false), record
FROM jsonb_array_elements($1::jsonb) AS record
ON CONFLICT (id) DO UPDATE SET open = excluded.open, record = excluded.record`

/** Returns the records that were added or changed, as they are now. */
export async function mergeConflicts(
  client: pg.ClientBase,
  incoming: readonly ConflictRecord[],
): Promise<readonly ConflictRecord[]> {
  if (incoming.length === 0) return []
  const { rows } = await client.query<{ record: ConflictRecord }>(
    'SELECT record FROM conflicts WHERE id = ANY ($1::text[]) FOR UPDATE',
    [incoming.map((record) => record.id)],
  )
  const changed = conflictsToStore(
    rows.map((row) => row.record),
    incoming,
  )
  if (changed.length > 0) await client.query(storeSql, [JSON.stringify(changed)])
  return changed
}
