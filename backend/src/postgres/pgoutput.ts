/**
 * Parses the part of the streaming replication protocol and of `pgoutput` that a slot without tables sends: frames,
 * transaction boundaries and logical messages (chapters 53.4 to 53.9).
 */

export interface Begin {
  readonly tag: 'begin'
}
export interface Commit {
  readonly tag: 'commit'
  /** Where the commit record begins: the transaction's place in the order of commits. */
  readonly commitLsn: bigint
  /** Where it ends: the position to confirm once the transaction is safe elsewhere. */
  readonly endLsn: bigint
}
export interface LogicalMessage {
  readonly tag: 'message'
  readonly prefix: string
  readonly content: Buffer
}
export interface Keepalive {
  readonly tag: 'keepalive'
  /** Every transaction that committed before this position was sent. */
  readonly walEnd: bigint
}
export interface Other {
  readonly tag: 'other'
}
export type ReplicationFrame = Begin | Commit | LogicalMessage | Keepalive | Other

const xlogDataHeaderBytes = 25
const transactionalFlag = 1
const other: Other = { tag: 'other' }
const begin: Begin = { tag: 'begin' }

/** Parses one CopyData payload. The result shares no memory with `frame`, which the driver will overwrite. */
export function parseFrame(frame: Buffer): ReplicationFrame {
  switch (frame[0]) {
    case 0x6b: // 'k'
      return { tag: 'keepalive', walEnd: frame.readBigUInt64BE(1) }
    case 0x77: // 'w'
      return parseMessage(frame.subarray(xlogDataHeaderBytes))
    default:
      return other
  }
}

function parseMessage(body: Buffer): ReplicationFrame {
  switch (body[0]) {
    case 0x42: // 'B'
      return begin
    case 0x43: // 'C': flags, commit LSN, end LSN, time
      return { tag: 'commit', commitLsn: body.readBigUInt64BE(2), endLsn: body.readBigUInt64BE(10) }
    case 0x4d: {
      // 'M': flags, LSN, prefix, length, content. One that belongs to no transaction is not ours.
      if (body[1] !== transactionalFlag) return other
      const prefixEnd = body.indexOf(0, 10)
      const contentStart = prefixEnd + 5
      const length = body.readUInt32BE(prefixEnd + 1)
      return {
        tag: 'message',
        prefix: body.toString('utf8', 10, prefixEnd),
        content: Buffer.from(body.subarray(contentStart, contentStart + length)),
      }
    }
    default:
      return other
  }
}

/** µs between 1970-01-01 and 2000-01-01, PostgreSQL's epoch. */
const postgresEpochUs = 946_684_800_000_000n

/** A standby status update that confirms everything before `lsn` as written, flushed and applied. */
export function encodeStatus(lsn: bigint, nowMs: number): Buffer {
  const update = Buffer.alloc(34)
  update[0] = 0x72 // 'r'
  update.writeBigUInt64BE(lsn, 1)
  update.writeBigUInt64BE(lsn, 9)
  update.writeBigUInt64BE(lsn, 17)
  update.writeBigInt64BE(BigInt(Math.trunc(nowMs)) * 1000n - postgresEpochUs, 25)
  return update
}
