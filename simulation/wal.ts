/**
 * A simulated write-ahead log with one logical slot.
 *
 * Invariant: transactions are in the order of their commits, which is neither that of their ids nor that of their
 * messages' positions. What is not confirmed is sent again; after a crash of the database also some of what was, since
 * a slot's position is only written down at times. Frames are encoded into one buffer that is used again and again, as
 * the driver's is, and parsed by the real parser.
 */

import { parseFrame } from '../backend/src/postgres/pgoutput.ts'
import { SlotBusyError, type FrameSink } from '../backend/src/postgres/replication-stream.ts'
import type { ReplicationFeed } from '../backend/src/replication/ports.ts'
import type { Process } from './process.ts'
import type { Random } from './random.ts'
import type { Scheduler } from './scheduler.ts'
import type { WalMessage } from './transactions.ts'

export interface WalTransaction {
  readonly xid: number
  readonly commitLsn: bigint
  readonly endLsn: bigint
  readonly messages: readonly WalMessage[]
}

const walStart = 0x1000n
const statusIntervalMs = 1000
/** Transactions in one chunk of the stream, and the chance that a chunk ends amid a transaction. */
const chunkMax = 6
const cutChance = 0.1
const bufferBytes = 1 << 17

/** One session that streams from the slot. */
class Sender {
  position: number
  /** Frames of the transaction that was begun already. */
  framesSent = 0
  lastHeardAt: number
  alive = true
  scheduled = false
  readonly process: Process
  readonly sink: FrameSink
  readonly end: (reason: Error) => void

  constructor(
    process: Process,
    sink: FrameSink,
    start: { position: number; now: number; end: (reason: Error) => void },
  ) {
    this.process = process
    this.sink = sink
    this.position = start.position
    this.lastHeardAt = start.now
    this.end = start.end
  }
}

export interface WalOptions {
  readonly scheduler: Scheduler
  readonly random: Random
  /** A position was confirmed. */
  readonly onConfirm: (lsn: bigint) => void
}

export class Wal {
  readonly transactions: WalTransaction[] = []
  readonly #options: WalOptions
  readonly #buffer = Buffer.alloc(bufferBytes)
  #end = walStart
  #confirmed = walStart
  #flushed = walStart
  #sender: Sender | undefined

  constructor(options: WalOptions) {
    this.#options = options
  }

  get end(): bigint {
    return this.#end
  }

  get confirmed(): bigint {
    return this.#confirmed
  }

  /** Reserves the position of a message; its transaction may commit much later, or never. */
  reserve(bytes: number): void {
    this.#end += BigInt(bytes)
  }

  append(xid: number, messages: readonly WalMessage[]): WalTransaction {
    const commitLsn = this.#end
    this.#end += 40n
    const transaction = { xid, commitLsn, endLsn: this.#end, messages }
    this.transactions.push(transaction)
    this.#pump()
    return transaction
  }

  /** What is confirmed is written down now. */
  checkpoint(): void {
    this.#flushed = this.#confirmed
  }

  /** Messages of transactions that have not committed are gone: their positions are used again. */
  crash(): void {
    this.#endSender('the database crashed')
    this.#end = this.transactions.at(-1)?.endLsn ?? walStart
    this.#confirmed = this.#flushed
  }

  /** Ends a stream that has not been heard of for so long, and speaks to one that has. */
  tend(timeoutMs: number): void {
    const sender = this.#sender
    if (!sender) return
    if (this.#options.scheduler.now - sender.lastHeardAt > timeoutMs * 1000)
      this.#endSender('wal_sender_timeout')
    else if (!sender.scheduled && sender.framesSent === 0 && sender.position === this.transactions.length) {
      const walEnd = this.#end
      sender.process.learn(() => sender.sink.accept(parseFrame(this.#keepalive(walEnd))))
    }
  }

  /** Whether anybody streams. */
  get streams(): boolean {
    return this.#sender !== undefined
  }

  /** Starts a stream for `process`; runs on the database's side. */
  open(process: Process, sink: FrameSink): Promise<ReplicationFeed> {
    const { scheduler } = this.#options
    if (this.#sender) throw new SlotBusyError('the slot is active')
    const { promise: ended, resolve } = Promise.withResolvers<Error>()
    const found = this.transactions.findIndex(({ commitLsn }) => commitLsn >= this.#confirmed)
    const position = found < 0 ? this.transactions.length : found
    const sender = new Sender(process, sink, { position, now: scheduler.now, end: resolve })
    this.#sender = sender
    process.onDeath(() => this.#endSender('the client is gone', sender))
    let confirmed = 0n
    let open = true
    const sendStatus = (): void => {
      const lsn = confirmed
      scheduler.after(process.delay(), () => this.#hear(sender, lsn))
    }
    const keepSending = (): void => {
      if (!open) return
      sendStatus()
      scheduler.after(statusIntervalMs * 1000, () => process.learn(keepSending))
    }
    const feed: ReplicationFeed = {
      ended,
      pause() {},
      resume() {},
      confirm(lsn) {
        if (lsn > confirmed) confirmed = lsn
      },
      close: () => {
        open = false
        sendStatus()
        scheduler.after(process.delay() * 2, () => this.#endSender('closed', sender))
      },
    }
    // The answer travels first; then what the slot holds.
    scheduler.after(process.delay() * 3, () =>
      process.learn(() => {
        sink.attach(feed)
        keepSending()
        this.#pump()
      }),
    )
    return Promise.resolve(feed)
  }

  #hear(sender: Sender, lsn: bigint): void {
    if (!sender.alive) return
    sender.lastHeardAt = this.#options.scheduler.now
    if (lsn <= this.#confirmed) return
    this.#confirmed = lsn
    this.#options.onConfirm(lsn)
  }

  #endSender(reason: string, which = this.#sender): void {
    if (!which?.alive) return
    which.alive = false
    if (this.#sender === which) this.#sender = undefined
    this.#options.scheduler.after(which.process.delay(), () =>
      which.process.learn(() => which.end(new Error(reason))),
    )
  }

  #pump(): void {
    const { scheduler } = this.#options
    const sender = this.#sender
    if (!sender || sender.scheduled || sender.position >= this.transactions.length) return
    sender.scheduled = true
    scheduler.after(sender.process.delay(), () => {
      sender.scheduled = false
      if (!sender.alive) return
      this.#send(sender)
      this.#pump()
    })
  }

  #send(sender: Sender): void {
    const { random } = this.#options
    const frames: ((buffer: Buffer) => Buffer)[] = []
    let room = random.between(1, chunkMax)
    while (room-- > 0 && sender.position < this.transactions.length) {
      const transaction = this.transactions[sender.position] as WalTransaction
      const all = framesOf(transaction)
      const end = random.chance(cutChance) ? random.between(sender.framesSent, all.length) : all.length
      frames.push(...all.slice(sender.framesSent, end))
      sender.framesSent = end
      if (end < all.length) break
      sender.position++
      sender.framesSent = 0
    }
    sender.process.learn(() => {
      for (const encode of frames) sender.sink.accept(parseFrame(encode(this.#buffer)))
    })
  }

  #keepalive(walEnd: bigint): Buffer {
    this.#buffer[0] = 0x6b
    this.#buffer.writeBigUInt64BE(walEnd, 1)
    this.#buffer[17] = 0
    return this.#buffer.subarray(0, 18)
  }
}

const headerBytes = 25

function framesOf({ commitLsn, endLsn, messages }: WalTransaction): ((buffer: Buffer) => Buffer)[] {
  const frame = (tag: string, write: (buffer: Buffer, at: number) => number) => (buffer: Buffer) => {
    buffer[0] = 0x77
    buffer[headerBytes] = tag.charCodeAt(0)
    return buffer.subarray(0, write(buffer, headerBytes))
  }
  return [
    frame('B', (_, at) => at + 21),
    ...messages.map(({ prefix, text }) =>
      frame('M', (buffer, at) => {
        buffer[at + 1] = 1 // transactional
        const prefixEnd = at + 10 + buffer.write(prefix, at + 10)
        buffer[prefixEnd] = 0
        const length = buffer.write(text, prefixEnd + 5)
        buffer.writeUInt32BE(length, prefixEnd + 1)
        return prefixEnd + 5 + length
      }),
    ),
    frame('C', (buffer, at) => {
      buffer.writeBigUInt64BE(commitLsn, at + 2)
      buffer.writeBigUInt64BE(endLsn, at + 10)
      return at + 26
    }),
  ]
}
