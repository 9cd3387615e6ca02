/** Places where events may be missing. A gap freezes the watermark of its actor, or of all actors of its cluster. */

import type pg from 'pg'

/** What a gap concerns when it concerns every actor of a cluster. */
export const everyActor = ''

/** Records a gap once; the first reason stays. */
export async function recordGap(
  client: pg.ClientBase,
  clusterId: string,
  actor: string,
  reason: string,
): Promise<void> {
  await client.query(
    `INSERT INTO replication_gaps (cluster_id, actor, reason) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
    [clusterId, actor, reason],
  )
}

/** The actors with a gap in this cluster, with the reason. */
export async function readGaps(
  client: pg.ClientBase,
  clusterId: string,
): Promise<ReadonlyMap<string, string>> {
  const { rows } = await client.query<{ actor: string; reason: string }>(
    'SELECT actor, reason FROM replication_gaps WHERE cluster_id = $1',
    [clusterId],
  )
  return new Map(rows.map((row) => [row.actor, row.reason]))
}
