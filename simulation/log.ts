/**
 * A simulated Kafka topic.
 *
 * Invariant: a partition keeps what it was given, in the order in which it was given. Partitions are read independently
 * of each other, so events of different keys overtake each other. A send may fail before, amid or after its effect.
 */

import type { TopicDescription } from '../backend/src/kafka/topic.ts'
import type { OutgoingRecord } from '../backend/src/kafka/publisher.ts'
import type { IncomingRecord } from '../backend/src/kafka/reader.ts'
import type { EventLog, EventReader } from '../backend/src/replication/ports.ts'
import { Latch } from '../backend/src/runtime/latch.ts'
import type { Process } from './process.ts'
import type { Random } from './random.ts'
import type { Scheduler } from './scheduler.ts'
import { silent, type Trace } from './trace.ts'

/** How a send of a region ends while its path to Kafka is disturbed. */
export type SendFault = 'refused' | 'partial' | 'reply lost' | 'hangs'

const sendFaults: readonly SendFault[] = ['refused', 'partial', 'reply lost', 'hangs']
const refusalUs = [1000, 400_000] as const
const slowRefusalUs = [400_000, 3_000_000] as const
const chunkMax = 8

interface LogOptions {
  readonly scheduler: Scheduler
  readonly random: Random
  readonly trace: Trace
}

export class SimulatedLog {
  readonly partitions: Pick<IncomingRecord, 'value' | 'actor'>[][]
  readonly #scheduler: Scheduler
  readonly #random: Random
  readonly #trace: Trace
  readonly #readers = new Set<SimulatedReader>()
  /** Regions that cannot reach Kafka at all. */
  readonly cut = new Set<string>()
  /** Regions whose sends fail at times. */
  readonly disturbed = new Set<string>()
  readonly #published = new Set<string>()

  constructor(partitions: number, { scheduler, random, trace }: LogOptions) {
    this.partitions = Array.from({ length: partitions }, () => [])
    this.#scheduler = scheduler
    this.#random = random
    this.#trace = trace
  }

  /** Whether the topic has exactly this record. */
  has(value: string): boolean {
    return this.#published.has(value)
  }

  append({ partition, value, actor }: OutgoingRecord): void {
    this.partitions[partition]?.push({ value: Buffer.from(value), ...(actor !== undefined && { actor }) })
    const text = value.toString()
    this.#published.add(text)
    if (this.#trace !== silent) this.#tell(partition, text)
    for (const reader of this.#readers) reader.notice(partition)
  }

  #tell(partition: number, text: string): void {
    if (text.includes('"heartbeat"')) return
    const vector = /"vector":(\{[^}]*\})/.exec(text)?.[1] ?? ''
    const id = /"property":\{"id":(\d+)/.exec(text)?.[1] ?? text
    this.#trace('kafka', `${partition}/${(this.partitions[partition]?.length ?? 0) - 1} is ${id} ${vector}`)
  }

  /** The log as a process of a region sees it. */
  seenBy(process: Process, region: string): EventLog {
    const describe = (): TopicDescription => {
      if (this.cut.has(region)) throw new Error('Kafka cannot be reached')
      return {
        clusterId: 'cluster',
        topicId: 'topic-id',
        topic: 'topic',
        leaders: this.partitions.map(() => 1),
      }
    }
    return {
      cluster: 'kafka:9092',
      ensureTopic: () => process.call('describe', describe),
      openPublisher: () => ({
        send: (records) => process.call('send', () => this.#receive(region, records)),
        close: () => Promise.resolve(),
      }),
      openReader: () => {
        const reader = new SimulatedReader(this, process, region, {
          scheduler: this.#scheduler,
          random: this.#random,
        })
        this.#readers.add(reader)
        process.onDeath(() => this.#readers.delete(reader))
        return reader
      },
    }
  }

  async #receive(region: string, records: readonly OutgoingRecord[]): Promise<void> {
    // Buffers are written to the socket when the send begins; the copy is what the socket holds.
    const fault = this.#faultOf(region)
    if (fault === 'refused') {
      const [least, most] = this.#random.chance(0.7) ? refusalUs : slowRefusalUs
      await this.#scheduler.pause(this.#random.between(least, most))
      throw new Error('Kafka refuses the batch')
    }
    if (fault === 'hangs' && this.#random.chance(0.5)) return new Promise(() => {})
    const lost = fault === 'partial' ? this.#random.between(0, this.partitions.length - 1) : -1
    for (const record of records) if (record.partition !== lost) this.append(record)
    if (fault === 'hangs') return new Promise(() => {})
    if (fault) throw new Error(`Kafka does not acknowledge: ${fault}`)
  }

  #faultOf(region: string): SendFault | undefined {
    if (this.cut.has(region)) return 'refused'
    return this.disturbed.has(region) && this.#random.chance(0.3) ? this.#random.pick(sendFaults) : undefined
  }

  forget(reader: SimulatedReader): void {
    this.#readers.delete(reader)
  }
}

class SimulatedReader implements EventReader {
  readonly #log: SimulatedLog
  readonly #process: Process
  readonly #region: string
  readonly #scheduler: Scheduler
  readonly #random: Random
  readonly #next = new Map<number, number>()
  readonly #scheduled = new Set<number>()
  readonly #filled = new Latch()
  #queue: IncomingRecord[] = []
  #failure: Error | undefined
  #closed = false

  constructor(
    log: SimulatedLog,
    process: Process,
    region: string,
    { scheduler, random }: { scheduler: Scheduler; random: Random },
  ) {
    this.#log = log
    this.#process = process
    this.#region = region
    this.#scheduler = scheduler
    this.#random = random
  }

  ranges(): Promise<readonly { earliest: bigint; latest: bigint }[]> {
    return this.#process.call('ranges', () => {
      if (this.#log.cut.has(this.#region)) throw new Error('Kafka cannot be reached')
      return this.#log.partitions.map((records) => ({ earliest: 0n, latest: BigInt(records.length) }))
    })
  }

  start(offsets: ReadonlyMap<number, bigint>): void {
    for (const [partition, offset] of offsets) {
      this.#next.set(partition, Number(offset))
      this.notice(partition)
    }
  }

  /** The partition may have more by now: fetches it after a while. */
  notice(partition: number): void {
    const next = this.#next.get(partition)
    if (next === undefined || this.#closed || this.#scheduled.has(partition)) return
    if (next >= (this.#log.partitions[partition]?.length ?? 0)) return
    this.#scheduled.add(partition)
    this.#scheduler.after(this.#process.delay(), () => {
      this.#scheduled.delete(partition)
      if (this.#closed || !this.#process.alive) return
      if (this.#log.cut.has(this.#region)) this.#process.learn(() => this.#fail())
      else this.#fetch(partition, next)
      this.notice(partition)
    })
  }

  #fetch(partition: number, from: number): void {
    const to = from + this.#random.between(1, chunkMax)
    const records = this.#log.partitions[partition]?.slice(from, to) ?? []
    this.#next.set(partition, from + records.length)
    this.#process.learn(() => {
      for (const [index, record] of records.entries()) {
        this.#queue.push({ partition, offset: BigInt(from + index), ...record })
      }
      this.#filled.raise()
    })
  }

  #fail(): void {
    this.#failure = new Error('Kafka cannot be reached')
    this.#closed = true
    this.#filled.raise()
  }

  get queued(): number {
    return this.#queue.length
  }

  async take(max: number): Promise<readonly IncomingRecord[]> {
    while (!this.#failure && this.#queue.length === 0) {
      if (this.#closed) return []
      await this.#filled.wait()
    }
    if (this.#failure) throw this.#failure
    const taken = this.#queue.slice(0, max)
    this.#queue = this.#queue.slice(max)
    return taken
  }

  close(): Promise<void> {
    this.#closed = true
    this.#log.forget(this)
    this.#filled.raise()
    return Promise.resolve()
  }
}
