/** The topic that carries all events: made on demand, and described for those who read and write it. */

import { Admin, findErrorBy } from '@platformatic/kafka'
import { brokerList, clientOptions } from './options.ts'

export interface TopicSettings {
  readonly brokers: string
  readonly topic: string
  readonly partitions: number
  readonly replicationFactor: number
  readonly retentionMs: number
}

export interface TopicDescription {
  readonly clusterId: string
  readonly topicId: string
  readonly topic: string
  /** Leader node of each partition. */
  readonly leaders: readonly number[]
}

/** Retries while a new topic's leaders are being elected. */
const metadataRetries = 5

/**
 * Describes the topic and makes it first if it is not there: `cleanup.policy=delete`, since compaction would drop
 * events with their claims.
 *
 * @throws if Kafka is unreachable or refuses.
 */
export async function ensureTopic(settings: TopicSettings): Promise<TopicDescription> {
  const { brokers, topic, partitions, replicationFactor, retentionMs } = settings
  const admin = new Admin({
    clientId: 'meridian-admin',
    bootstrapBrokers: brokerList(brokers),
    retries: 1,
    ...clientOptions,
  })
  try {
    const topics = await admin.listTopics()
    if (!topics.includes(topic)) {
      const configs = [
        { name: 'cleanup.policy', value: 'delete' },
        { name: 'retention.ms', value: String(retentionMs) },
        { name: 'min.insync.replicas', value: String(Math.max(1, replicationFactor - 1)) },
      ]
      await admin
        .createTopics({ topics: [topic], partitions, replicas: replicationFactor, configs })
        .catch(unlessTopicExists)
    }
    const metadata = await admin.metadata({ topics: [topic], forceUpdate: true, retries: metadataRetries })
    const described = metadata.topics.get(topic)
    if (!described) throw new Error(`Kafka does not describe the topic ${topic} yet`)
    const leaders = described.partitions.map((partition) => partition.leader)
    if (leaders.length === 0 || leaders.some((leader) => leader < 0)) {
      throw new Error(`a partition of ${topic} has no leader yet`)
    }
    return { clusterId: metadata.id, topicId: described.id, topic, leaders }
  } finally {
    await admin.close()
  }
}

/** Another backend was faster. */
function unlessTopicExists(error: Error): void {
  if (!findErrorBy(error, 'apiId', 'TOPIC_ALREADY_EXISTS')) throw error
}
