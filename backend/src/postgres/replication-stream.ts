/**
 * A thin client of a logical replication slot on `pg`'s replication connection.
 *
 * Invariant: it confirms what it is told to confirm and nothing else; receiving is not confirming. (The usual library
 * confirms received positions from a timer, which loses events while Kafka is down.) Confirmations are repeated every
 * second, which also keeps the server's `wal_sender_timeout` from ending the session.
 */

import type pg from 'pg'
import { encodeStatus, parseFrame, type ReplicationFrame } from './pgoutput.ts'
import { connect } from './pool.ts'
import { publicationName } from './prepare-database.ts'

/** A frozen relay loses its slot after this time, ms. */
const walSenderTimeoutMs = 3000
const statusIntervalMs = 1000

/** The parts of `pg`'s connection that its types leave out. */
interface CopyConnection {
  on(event: 'copyData', listener: (message: { chunk: Buffer }) => void): void
  once(event: 'replicationStart', listener: () => void): void
  sendCopyFromChunk(chunk: Buffer): void
  stream: { pause(): void; resume(): void; destroy(): void; readonly destroyed: boolean }
}

/** Another session streams from the slot. */
export class SlotBusyError extends Error {}

/** What the one who is given the frames may tell the stream. */
export interface StreamControl {
  pause(): void
  resume(): void
  /** Everything before `lsn` is safe elsewhere and need not be sent again. */
  confirm(lsn: bigint): void
}

/** Who is given the frames, and told by which stream. */
export interface FrameSink {
  attach(stream: StreamControl): void
  accept(frame: ReplicationFrame): void
}

export class ReplicationStream implements StreamControl {
  readonly #client: pg.Client
  readonly #connection: CopyConnection
  readonly #now: () => number
  readonly #timer: NodeJS.Timeout
  #confirmed = 0n
  /** Resolves with the reason when the stream has ended. */
  readonly ended: Promise<Error>

  private constructor(client: pg.Client, ended: Promise<Error>, now: () => number) {
    this.#client = client
    this.#connection = connectionOf(client)
    this.#now = now
    this.ended = ended
    this.#timer = setInterval(() => this.#sendStatus(), statusIntervalMs)
  }

  /**
   * Starts to stream from the slot's confirmed position into `sink`, in order. `now` gives ms since the epoch.
   *
   * @throws {SlotBusyError} while another session streams from it; whatever PostgreSQL answers otherwise.
   */
  static async open(
    databaseUrl: string,
    slot: string,
    sink: FrameSink,
    now: () => number,
  ): Promise<ReplicationStream> {
    const { client, lost } = await connect(databaseUrl, {
      application_name: 'meridian-relay',
      options: `-c wal_sender_timeout=${walSenderTimeoutMs}`,
      ...({ replication: 'database' } as object),
    })
    const connection = connectionOf(client)
    const broken = Promise.withResolvers<Error>()
    connection.on('copyData', ({ chunk }) => {
      if (connection.stream.destroyed) return
      try {
        sink.accept(parseFrame(chunk))
      } catch (error) {
        connection.stream.destroy()
        broken.resolve(error as Error)
      }
    })
    const started = new Promise<undefined>((resolve) => {
      connection.once('replicationStart', () => resolve(undefined))
    })
    const refused = client
      .query(
        `START_REPLICATION SLOT "${slot}" LOGICAL 0/0 (proto_version '1', publication_names '${publicationName}', messages 'true')`,
      )
      .then(
        () => new Error('PostgreSQL ended the replication stream'),
        (error: Error) => error,
      )
    const ended = Promise.race([refused, lost, broken.promise])
    const failure = await Promise.race([started, ended])
    if (failure) {
      connection.stream.destroy()
      throw 'code' in failure && failure.code === '55006' ? new SlotBusyError(failure.message) : failure
    }
    const stream = new ReplicationStream(client, ended, now)
    sink.attach(stream)
    return stream
  }

  /** Never goes back. */
  confirm(lsn: bigint): void {
    if (lsn > this.#confirmed) this.#confirmed = lsn
  }

  get confirmed(): bigint {
    return this.#confirmed
  }

  #sendStatus(): void {
    this.#connection.sendCopyFromChunk(encodeStatus(this.#confirmed, this.#now()))
  }

  /** Stops reading from the socket: the server then waits, and memory here stays bounded. */
  pause(): void {
    this.#connection.stream.pause()
  }

  resume(): void {
    this.#connection.stream.resume()
  }

  /** Sends the last confirmation and ends the session, so that a stand-by finds the slot free. */
  close(): void {
    clearInterval(this.#timer)
    this.#sendStatus()
    void this.#client.end().catch(() => {})
    this.#connection.stream.destroy()
  }
}

function connectionOf(client: pg.Client): CopyConnection {
  return (client as unknown as { connection: CopyConnection }).connection
}
