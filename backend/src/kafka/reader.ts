/**
 * Reads all partitions of the topic, without a consumer group: the offsets belong to the database.
 *
 * Invariant: records of a partition are delivered in order and without a gap from the given offset on; anything that
 * would break this (offset out of range, unknown topic id, a lost broker) is thrown, never skipped. Raw `fetch` is
 * used because the client's stream ends silently after its retries, and because it ignores `fallbackMode`.
 */

import { Consumer, ListOffsetTimestamps } from '@platformatic/kafka'
import { Latch } from '../runtime/latch.ts'
import { brokerList, clientOptions } from './options.ts'
import { actorHeader } from './publisher.ts'
import type { TopicDescription } from './topic.ts'

export interface IncomingRecord {
  readonly partition: number
  readonly offset: bigint
  readonly value: Buffer
  /** Whose property event it is, as far as the record says so. */
  readonly actor?: string
}

type FetchedPartition = Awaited<ReturnType<Consumer['fetch']>>['responses'][number]['partitions'][number]

/** Fetching pauses above this many records that nobody has taken yet. */
const queuedRecordsMax = 8000
const fetchOptions = { maxWaitTime: 500, minBytes: 1, maxBytes: 4 * 1024 * 1024, isolationLevel: 0 } as const
const partitionBytesMax = 1024 * 1024
/**
 * A fetch without an answer for so long ends the reader, ms: the lock is free then for a backend that reaches Kafka. The
 * client alone takes 17 to 40 s, with its retries.
 */
const fetchTimeoutMs = 10_000

export class Reader {
  readonly #consumer: Consumer
  readonly #topic: TopicDescription
  #queue: IncomingRecord[] = []
  readonly #filled = new Latch()
  readonly #drained = new Latch()
  #failure: unknown
  #closed = false

  constructor(brokers: string, topic: TopicDescription) {
    this.#topic = topic
    this.#consumer = new Consumer({
      clientId: 'meridian-applier',
      groupId: 'meridian-unused', // required by the client; no group is ever joined
      bootstrapBrokers: brokerList(brokers),
      ...clientOptions,
      autocommit: false,
      retries: 3,
    })
    this.#consumer.topics.trackAll(topic.topic) // `fetch` asks for the metadata of tracked topics only
  }

  /** First and next offset of each partition, as the broker has them now. */
  async ranges(): Promise<readonly { earliest: bigint; latest: bigint }[]> {
    const topics = [this.#topic.topic]
    const earliest = await this.#consumer.listOffsets({ topics, timestamp: ListOffsetTimestamps.EARLIEST })
    const latest = await this.#consumer.listOffsets({ topics, timestamp: ListOffsetTimestamps.LATEST })
    return this.#topic.leaders.map((_, partition) => ({
      earliest: earliest.get(this.#topic.topic)?.[partition] ?? 0n,
      latest: latest.get(this.#topic.topic)?.[partition] ?? 0n,
    }))
  }

  /** Begins to fetch from `offsets`, one loop per leader. */
  start(offsets: ReadonlyMap<number, bigint>): void {
    const byLeader = Map.groupBy([...offsets], ([partition]) => this.#topic.leaders[partition] as number)
    for (const [leader, owned] of byLeader) {
      this.#fetchFrom(leader, new Map(owned)).catch((error: unknown) => {
        this.#failure ??= error
        this.#filled.raise()
      })
    }
  }

  async #fetchFrom(leader: number, next: Map<number, bigint>): Promise<void> {
    while (!this.#closed) {
      if (this.#queue.length > queuedRecordsMax) {
        await this.#drained.wait()
        continue
      }
      const fetched = this.#consumer.fetch({
        node: leader,
        ...fetchOptions,
        topics: [
          {
            topicId: this.#topic.topicId,
            partitions: [...next].map(([partition, fetchOffset]) => ({
              partition,
              fetchOffset,
              currentLeaderEpoch: -1,
              lastFetchedEpoch: -1,
              partitionMaxBytes: partitionBytesMax,
            })),
          },
        ],
      })
      const response = await inTime(fetched)
      for (const { partitions } of response.responses) {
        for (const partition of partitions) this.#enqueue(partition, next)
      }
      if (this.#queue.length > 0) this.#filled.raise()
    }
  }

  /** A fetch returns whole batches, so the first may begin before the offset that was asked for. */
  #enqueue({ partitionIndex, records }: FetchedPartition, next: Map<number, bigint>): void {
    for (const batch of records ?? []) {
      for (const record of batch.records) {
        const offset = batch.firstOffset + BigInt(record.offsetDelta)
        if (offset < (next.get(partitionIndex) ?? 0n)) continue
        next.set(partitionIndex, offset + 1n)
        const actor = record.headers.find(([name]) => name?.equals(actorHeader))?.[1]?.toString()
        this.#queue.push({
          partition: partitionIndex,
          offset,
          value: record.value ?? Buffer.alloc(0),
          ...(actor !== undefined && { actor }),
        })
      }
    }
  }

  /** Number of records that wait to be taken. */
  get queued(): number {
    return this.#queue.length
  }

  /**
   * Takes what is queued, at most `max` records, and waits while there is nothing. Empty once closed.
   *
   * @throws what a fetch has thrown, at once: other leaders may deliver for long, while this one's partitions stand still.
   *   What was fetched and not taken is fetched again.
   */
  async take(max: number): Promise<readonly IncomingRecord[]> {
    while (this.#failure === undefined && this.#queue.length === 0) {
      if (this.#closed) return []
      await this.#filled.wait()
    }
    if (this.#failure !== undefined) throw this.#failure
    const taken = this.#queue.slice(0, max)
    this.#queue = this.#queue.slice(max)
    this.#drained.raise()
    return taken
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#filled.raise()
    this.#drained.raise()
    await this.#consumer.close(true)
  }
}

/** Rejects if Kafka takes too long; what it answers after that is dropped. */
async function inTime<T>(work: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(
    () => reject(new Error(`Kafka did not answer within ${fetchTimeoutMs} ms`)),
    fetchTimeoutMs,
  )
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
