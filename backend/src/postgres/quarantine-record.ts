import type pg from 'pg'
import type { TopicIdentity } from './kafka-offsets.ts'

export interface QuarantinedRecord {
  readonly partition: number
  readonly offset: bigint
  readonly payload: Buffer
  readonly reason: string
}

/** Keeps a record that could not be merged for a person to look at. */
export async function quarantineRecord(
  client: pg.ClientBase,
  { clusterId, topicId }: TopicIdentity,
  { partition, offset, payload, reason }: QuarantinedRecord,
): Promise<void> {
  await client.query(
    `INSERT INTO quarantine (cluster_id, topic_id, partition, kafka_offset, reason, payload)
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
    [clusterId, topicId, partition, String(offset), reason.slice(0, 2000).replaceAll('\0', ''), payload],
  )
}
