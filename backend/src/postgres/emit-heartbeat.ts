/**
 * Writes heartbeats to the WAL.
 *
 * Invariant: everything that was acknowledged before a heartbeat's statement began is committed before the heartbeat in
 * the WAL, and is therefore published before it; so is every transaction with an id below its xmin. The relay adds the
 * commit LSN and the number of partitions.
 * A heartbeat of a run that was succeeded by another one is never written: it would lie beyond its successor's start.
 */

import type pg from 'pg'
import { messagePrefix } from './message-prefix.ts'
import { watermarksSql } from './read-sources.ts'

/** Another relay of this region has begun. */
export class SupersededError extends Error {}

export interface HeartbeatOrigin {
  readonly actor: string
  readonly since: string
  readonly run: string
}

/** Begins a relay's run and returns it, `id@LSN`; the LSN lies after every heartbeat of the runs before. */
export async function beginRun(database: pg.Pool | pg.ClientBase): Promise<string> {
  // Locked first: an UPDATE that waits for the row has read the end of the WAL before it waits.
  const { rows } = await database.query<{ run: string }>(`
    WITH locked AS MATERIALIZED (SELECT FROM incarnation FOR UPDATE)
    UPDATE incarnation SET run = left(gen_random_uuid()::text, 8) || '@' || pg_current_wal_insert_lsn()
    FROM locked RETURNING run`)
  if (!rows[0]) throw new Error('the database has no incarnation')
  return rows[0].run
}

/**
 * Returns whether anybody streams from the region's slot.
 *
 * @throws {SupersededError} if another run has begun.
 */
export async function emitHeartbeat(
  database: pg.Pool | pg.ClientBase,
  { actor, since, run }: HeartbeatOrigin,
): Promise<boolean> {
  const { rows } = await database.query<{ streams: boolean | null }>({
    name: 'emit-heartbeat',
    text: `
      WITH own AS MATERIALIZED (SELECT run, slot FROM incarnation WHERE run = $3::text FOR SHARE),
      watermarks AS (${watermarksSql})
      SELECT pg_logical_emit_message(true, '${messagePrefix}', json_build_object(
        'schema', 1, 'type', 'heartbeat', 'actor', $1::text,
        'xmin', pg_snapshot_xmin(pg_current_snapshot())::text,
        't', (extract(epoch FROM statement_timestamp()) * 1000000)::bigint,
        'since', $2::text, 'run', own.run,
        'applied', (SELECT coalesce(jsonb_object_agg(actor, watermark), '{}') FROM watermarks)
      )::text), (SELECT active FROM pg_replication_slots WHERE slot_name = own.slot) AS streams
      FROM own`,
    values: [actor, since, run],
  })
  if (!rows[0]) throw new SupersededError('another relay of this region has begun')
  return rows[0].streams === true
}
