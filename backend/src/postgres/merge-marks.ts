/**
 * Stores which heartbeats each partition has delivered, and what their actors say of themselves.
 *
 * Invariant: marks only grow (by LSN, which is monotonic within an incarnation), so a heartbeat that is delivered
 * again, or late, changes nothing.
 */

import type pg from 'pg'
import type { Heartbeat } from '../domain/event.ts'
import type { OffsetBounds } from '../domain/lag.ts'
import { regionOf } from '../domain/stamp.ts'

export interface DeliveredHeartbeat {
  readonly heartbeat: Heartbeat
  readonly partition: number
}

export async function mergeMarks(
  client: pg.ClientBase,
  delivered: readonly DeliveredHeartbeat[],
): Promise<void> {
  if (delivered.length === 0) return
  await client.query({
    name: 'merge-marks',
    text: `
      INSERT INTO marks AS m (actor, partition, lsn, snapshot_xmin, t)
      SELECT actor, partition, lsn, xmin, t
      FROM jsonb_to_recordset($1::jsonb) AS d (actor text, partition integer, lsn pg_lsn, xmin xid8, t bigint)
      ON CONFLICT (actor, partition) DO UPDATE SET lsn = excluded.lsn, snapshot_xmin = excluded.snapshot_xmin, t = excluded.t
      WHERE m.lsn < excluded.lsn`,
    values: [
      JSON.stringify(
        delivered.map(({ heartbeat: { actor, lsn, xmin, t }, partition }) => ({
          actor,
          partition,
          lsn,
          xmin,
          t,
        })),
      ),
    ],
  })
}

/** Stores the newest heartbeat of one source with the bounds of its clock's offset. */
export async function storeSource(
  client: pg.ClientBase,
  clusterId: string,
  { actor, partitions, since, t, applied }: Heartbeat,
  bounds: OffsetBounds,
): Promise<void> {
  await client.query({
    name: 'store-source',
    text: `
      INSERT INTO sources AS s (actor, region, cluster_id, partitions, since, heartbeat_at, offset_lower, offset_upper, applied)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
      ON CONFLICT (actor) DO UPDATE SET partitions = excluded.partitions, heartbeat_at = excluded.heartbeat_at,
        offset_lower = excluded.offset_lower, offset_upper = excluded.offset_upper, applied = excluded.applied`,
    values: [
      actor,
      regionOf(actor),
      clusterId,
      partitions,
      since,
      t,
      bounds.lower,
      bounds.upper,
      JSON.stringify(applied),
    ],
  })
}
