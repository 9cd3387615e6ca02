/**
 * What the relay has read and Kafka has not acknowledged, in commit order.
 *
 * Invariant: a transaction's records enter together, when its commit is read, and its end may be confirmed only with
 * its last record. The socket is paused above 8 MB and resumed below 2 MB, so memory is bounded however long Kafka is
 * away.
 */

import { partitionOf, type OutgoingRecord } from '../kafka/publisher.ts'
import { formatLsn } from '../postgres/lsn.ts'
import { messagePrefix, routeOf } from '../postgres/message-prefix.ts'
import type { LogicalMessage, ReplicationFrame } from '../postgres/pgoutput.ts'
import type { FrameSink, StreamControl } from '../postgres/replication-stream.ts'
import { Latch } from '../runtime/latch.ts'

/** A send takes at most this many events and bytes. */
export const relayBatchMax = 1000
export const relayBatchBytesMax = 512 * 1024
/** The socket is paused above, and resumed below. */
const queueHighBytes = 8 * 1024 * 1024
const queueLowBytes = 2 * 1024 * 1024

export interface RelayBatch {
  readonly records: readonly OutgoingRecord[]
  readonly bytes: number
  /** End of the last transaction that is complete with this batch. */
  readonly confirmLsn: bigint | undefined
  /** More waits that this batch had no room for. */
  readonly isFull: boolean
}

interface Entry {
  /** Absent for a transaction without events. */
  readonly record?: OutgoingRecord
  /** Set on the last entry of a transaction. */
  readonly endLsn?: bigint
}

const entryBytes = ({ record }: Entry): number => record?.value.length ?? 0

export class RelayQueue implements FrameSink {
  readonly #partitions: number
  readonly #filled = new Latch()
  #stream: StreamControl | undefined
  #transaction: LogicalMessage[] | undefined
  #entries: Entry[] = []
  #inFlight: RelayBatch | undefined
  #bytes = 0

  constructor(partitions: number) {
    this.#partitions = partitions
  }

  attach(stream: StreamControl): void {
    this.#stream = stream
  }

  /** Bytes that Kafka has not acknowledged. */
  get bytes(): number {
    return this.#bytes
  }

  /** @throws if the stream is not a sequence of whole transactions: to go on would lose an event in silence. */
  accept(frame: ReplicationFrame): void {
    switch (frame.tag) {
      case 'begin':
        if (this.#transaction) throw new Error('the WAL stream begins a transaction inside another one')
        this.#transaction = []
        break
      case 'message':
        if (!this.#transaction) throw new Error('the WAL stream has a message outside of a transaction')
        if (frame.prefix.startsWith(messagePrefix)) this.#transaction.push(frame)
        break
      case 'commit':
        if (!this.#transaction) throw new Error('the WAL stream ends a transaction that it did not begin')
        this.#enqueue(this.#transaction, frame.commitLsn, frame.endLsn)
        this.#transaction = undefined
        break
      case 'keepalive':
        // With nothing of ours on the way, WAL that is not ours need not be kept.
        if (this.#idle) this.#stream?.confirm(frame.walEnd)
        break
      case 'other':
        break
    }
  }

  get #idle(): boolean {
    return this.#entries.length === 0 && !this.#inFlight && !this.#transaction
  }

  #enqueue(messages: readonly LogicalMessage[], commitLsn: bigint, endLsn: bigint): void {
    const records = messages.flatMap((message) => recordsOf(message, commitLsn, this.#partitions))
    const bytes = records.reduce((sum, record) => sum + record.value.length, 0)
    const last = records.pop()
    for (const record of records) this.#entries.push({ record })
    this.#entries.push({ ...(last && { record: last }), endLsn })
    this.#bytes += bytes
    if (this.#bytes > queueHighBytes) this.#stream?.pause()
    this.#filled.raise()
  }

  /** Everything that waits, up to the limits of a send; waits while there is nothing. */
  async take(): Promise<RelayBatch> {
    if (this.#entries.length === 0) await this.#filled.wait()
    let bytes = 0
    let taken = 0
    for (const entry of this.#entries) {
      const full = taken >= relayBatchMax || bytes + entryBytes(entry) > relayBatchBytesMax
      if (taken > 0 && full) break
      bytes += entryBytes(entry)
      taken++
    }
    const entries = this.#entries.slice(0, taken)
    this.#entries = this.#entries.slice(taken)
    this.#inFlight = {
      isFull: this.#entries.length > 0,
      records: entries.flatMap(({ record }) => (record ? [record] : [])),
      bytes,
      confirmLsn: entries.findLast(({ endLsn }) => endLsn !== undefined)?.endLsn,
    }
    return this.#inFlight
  }

  /** Kafka has the batch: what it completes is confirmed, and its room is free. */
  acknowledge({ bytes, confirmLsn }: RelayBatch): void {
    this.#inFlight = undefined
    this.#bytes -= bytes
    if (confirmLsn !== undefined) this.#stream?.confirm(confirmLsn)
    if (this.#bytes < queueLowBytes) this.#stream?.resume()
  }

  /** Ends a wait in `take` with an empty batch. */
  wake(): void {
    this.#filled.raise()
  }
}

/** A property's event goes to its key's partition; a heartbeat, with its commit LSN and their number, to all of them. */
function recordsOf(
  { prefix, content }: LogicalMessage,
  commitLsn: bigint,
  partitions: number,
): OutgoingRecord[] {
  const route = routeOf(prefix)
  if (route) {
    const key = Buffer.from(route.key)
    return [{ partition: partitionOf(key, partitions), key, value: content, actor: route.actor }]
  }
  const event = parseUnrouted(content)
  if (event.type === 'heartbeat') {
    const value = Buffer.from(JSON.stringify({ ...event, lsn: formatLsn(commitLsn), partitions }))
    const key = Buffer.from(String(event.actor))
    return Array.from({ length: partitions }, (_, partition) => ({ partition, key, value }))
  }
  // What is no event of ours is published all the same, and quarantined by whoever reads it.
  const key = Buffer.from(String(event.property?.id ?? ''))
  return [{ partition: partitionOf(key, partitions), key, value: content }]
}

interface Unrouted {
  readonly type?: string
  readonly actor?: string
  readonly property?: { readonly id: number }
}

/** A heartbeat, or an event of a release that did not route by the prefix. */
function parseUnrouted(content: Buffer): Unrouted {
  try {
    return (JSON.parse(content.toString()) as Unrouted | null) ?? {}
  } catch {
    return {}
  }
}
