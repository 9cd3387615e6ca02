/**
 * Writes a heartbeat to the WAL.
 *
 * Invariant: everything that was acknowledged before this statement began is committed before the heartbeat in the
 * WAL, has a transaction id below its xmin, and is therefore published before it. The relay adds the commit LSN.
 */

import type pg from 'pg'
import { messagePrefix } from './message-prefix.ts'
import { watermarksSql } from './read-sources.ts'

export async function emitHeartbeat(
  client: pg.Pool | pg.ClientBase,
  { actor, since, partitions }: { actor: string; since: string; partitions: number },
): Promise<void> {
  await client.query({
    name: 'emit-heartbeat',
    text: `
      WITH watermarks AS (${watermarksSql})
      SELECT pg_logical_emit_message(true, '${messagePrefix}', json_build_object(
        'schema', 1, 'type', 'heartbeat', 'actor', $1::text,
        'xmin', pg_snapshot_xmin(pg_current_snapshot())::text,
        't', (extract(epoch FROM statement_timestamp()) * 1000000)::bigint,
        'partitions', $3::integer, 'since', $2::text,
        'applied', (SELECT coalesce(jsonb_object_agg(actor, watermark), '{}') FROM watermarks)
      )::text)`,
    values: [actor, since, partitions],
  })
}
