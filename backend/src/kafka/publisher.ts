/**
 * Publishes records in order.
 *
 * Invariant: one `send` is outstanding at a time. With more, the client changes its producer id after a cut connection
 * and records overtake each other without an error. A failed send ends the publisher; what was not acknowledged is
 * published again by a new one, and the merge is indifferent to the repetition.
 */

import { murmur2, Producer, type MessageToProduce } from '@platformatic/kafka'
import { brokerList, clientOptions } from './options.ts'

export interface OutgoingRecord {
  readonly partition: number
  readonly key: Buffer
  readonly value: Buffer
  /** Whose property event it is: its own region need not read it. Absent for everything else. */
  readonly actor?: string
}

/** The one header of a record, of property events only. */
export const actorHeader = Buffer.from('actor')

/** A producer's sequence numbers do not wrap in this client: begin anew well before 2^31 records. */
export const recordsPerProducerMax = 1_000_000_000

/** The partition that Java's default partitioner gives a key. */
export function partitionOf(key: Buffer, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions
}

export class Publisher {
  readonly #producer: Producer
  readonly #topic: string
  #published = 0
  #sending = false

  constructor({ brokers, topic }: { brokers: string; topic: string }) {
    this.#topic = topic
    this.#producer = new Producer({
      clientId: 'meridian-relay',
      bootstrapBrokers: brokerList(brokers),
      ...clientOptions,
      idempotent: true,
      acks: -1,
      retries: 5, // the client's default with `idempotent` is 2^53, also for what cannot be retried
    })
  }

  /**
   * Resolves when all in-sync replicas have the records.
   *
   * @throws if Kafka refuses or does not answer; some of the records may be there.
   */
  async send(records: readonly OutgoingRecord[]): Promise<void> {
    if (this.#sending) throw new Error('one send at a time')
    if (this.#published + records.length > recordsPerProducerMax) throw new Error('this producer is used up')
    this.#sending = true
    try {
      const messages: MessageToProduce[] = records.map(({ actor, ...record }) => ({
        topic: this.#topic,
        ...record,
        ...(actor !== undefined && { headers: new Map([[actorHeader, Buffer.from(actor)]]) }),
      }))
      await this.#producer.send({ messages, idempotent: true, acks: -1 })
      this.#published += records.length
    } finally {
      this.#sending = false
    }
  }

  async close(): Promise<void> {
    await this.#producer.close()
  }
}
