/**
 * Other regions' actors as this database knows them, with their watermarks.
 *
 * Invariant: a watermark is the least mark over all partitions that carry the actor's heartbeats; while one of them
 * has delivered none, there is no watermark.
 */

import type pg from 'pg'
import type { Source } from '../domain/lag.ts'

/** Also used inside the heartbeat's statement, to tell others what is merged here. */
export const watermarksSql = `
  SELECT s.actor, jsonb_build_object('lsn', min(m.lsn)::text, 'xmin', min(m.snapshot_xmin::text::numeric)::text, 't', min(m.t)) AS watermark
  FROM sources AS s JOIN marks AS m ON m.actor = s.actor AND m.partition < s.partitions
  GROUP BY s.actor, s.partitions
  HAVING count(*) = s.partitions`

/** Every known source, and the time of this database's clock in µs. */
export async function readSources(
  database: pg.Pool | pg.ClientBase,
): Promise<{ sources: readonly Source[]; now: number }> {
  const { rows } = await database.query<{ now: number; sources: readonly Source[] | null }>({
    name: 'read-sources',
    text: `
      WITH watermarks AS (${watermarksSql})
      SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now, (
        SELECT jsonb_agg(jsonb_build_object(
          'actor', s.actor, 'region', s.region, 'since', s.since, 'heartbeat_at', s.heartbeat_at,
          'offset_lower', s.offset_lower, 'offset_upper', s.offset_upper, 'applied', s.applied,
          'watermark', w.watermark,
          'gap', (SELECT min(g.reason) FROM replication_gaps AS g
            WHERE g.cluster_id = s.cluster_id AND g.actor IN ('', s.actor))))
        FROM sources AS s LEFT JOIN watermarks AS w ON w.actor = s.actor
      ) AS sources`,
  })
  return { sources: rows[0]?.sources ?? [], now: rows[0]?.now ?? 0 }
}
