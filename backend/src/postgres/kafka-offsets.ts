/**
 * Where the merge of each partition continues.
 *
 * Invariant: offsets advance in the transaction that merges, and only from the value that the applier read, so a
 * frozen applier that resumes can neither skip nor repeat what its successor has done (fencing by compare and set).
 * They are kept by the topic's id: a topic that was deleted and made again starts anew under the same name.
 */

import type pg from 'pg'

export interface TopicIdentity {
  readonly clusterId: string
  readonly topicId: string
  readonly topic: string
}

/** An offset moved under this applier: another one has taken over. */
export class FencedError extends Error {}

/** The next offset of each partition that has one, and whether another topic of this name was read before. */
export async function readOffsets(
  client: pg.ClientBase,
  { clusterId, topicId, topic }: TopicIdentity,
): Promise<{ offsets: ReadonlyMap<number, bigint>; topicReplaced: boolean }> {
  const { rows } = await client.query<{ topic_id: string; partition: number; next_offset: string }>(
    `SELECT topic_id, partition, next_offset::text FROM kafka_offsets WHERE cluster_id = $1 AND topic = $2`,
    [clusterId, topic],
  )
  const current = rows.filter((row) => row.topic_id === topicId)
  return {
    offsets: new Map(current.map((row) => [row.partition, BigInt(row.next_offset)])),
    topicReplaced: rows.length > current.length && current.length === 0,
  }
}

/** Sets where partitions continue, regardless of what was there: at the first contact, or after a gap. */
export async function setOffsets(
  client: pg.ClientBase,
  { clusterId, topicId, topic }: TopicIdentity,
  offsets: ReadonlyMap<number, bigint>,
): Promise<void> {
  await client.query(
    `INSERT INTO kafka_offsets (cluster_id, topic_id, topic, partition, next_offset)
     SELECT $1, $2, $3, partition, next_offset FROM unnest($4::integer[], $5::bigint[]) AS o (partition, next_offset)
     ON CONFLICT (cluster_id, topic_id, partition) DO UPDATE SET next_offset = excluded.next_offset`,
    [clusterId, topicId, topic, [...offsets.keys()], [...offsets.values()].map(String)],
  )
}

export interface OffsetAdvance {
  readonly from: bigint
  readonly to: bigint
}

/**
 * Returns the time of the database's clock, µs since the epoch.
 *
 * @throws {FencedError} if a partition is not where this applier left it.
 */
export async function advanceOffsets(
  client: pg.ClientBase,
  { clusterId, topicId }: TopicIdentity,
  advances: ReadonlyMap<number, OffsetAdvance>,
): Promise<number> {
  const moves = [...advances.values()]
  const { rows } = await client.query<{ now: number }>({
    name: 'advance-offsets',
    text: `UPDATE kafka_offsets AS k SET next_offset = move.after
      FROM unnest($3::integer[], $4::bigint[], $5::bigint[]) AS move (partition, before, after)
      WHERE k.cluster_id = $1 AND k.topic_id = $2 AND k.partition = move.partition AND k.next_offset = move.before
      RETURNING (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now`,
    values: [
      clusterId,
      topicId,
      [...advances.keys()],
      moves.map(({ from }) => String(from)),
      moves.map(({ to }) => String(to)),
    ],
  })
  if (rows.length !== advances.size || !rows[0]) {
    throw new FencedError('another applier has advanced these offsets')
  }
  return rows[0].now
}
