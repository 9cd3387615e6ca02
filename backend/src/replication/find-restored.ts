/**
 * Whether this database has forgotten what it has published: it was put back to an earlier state, and would issue dots
 * a second time.
 *
 * Invariant: each relay stores its run before its first heartbeat. So a heartbeat of another run that begins or reaches
 * beyond the start of the newest one comes from a life that is missing here; and so does one from beyond the end of the
 * WAL. (Runs have a name beside their LSN, since a database that was put back begins its next run exactly where it
 * began the one that it has lost.)
 */

import type { Heartbeat } from '../domain/event.ts'
import { parseLsn } from '../postgres/lsn.ts'
import { decodeRecord, sortBatch } from './decode.ts'
import type { EventLog, MergeSession } from './ports.ts'

export interface OwnPosition {
  /** The newest run of this region's relays; null before the first. */
  readonly run: string | null
  /** The end of the WAL, read after the heartbeats. */
  readonly walEnd: string
}

const startOfRun = (run: string): bigint => parseLsn(run.slice(run.indexOf('@') + 1))

/** What the actor's own heartbeats tell of a life that the database does not know; undefined if nothing. */
export function findRestored(ownHeartbeats: readonly Heartbeat[], own: OwnPosition): string | undefined {
  const newest = own.run ?? '@0/0'
  const alien = ownHeartbeats.find(
    ({ run, lsn }) =>
      parseLsn(lsn) > parseLsn(own.walEnd) ||
      (run !== newest && (startOfRun(run) >= startOfRun(newest) || parseLsn(lsn) > startOfRun(newest))),
  )
  return (
    alien &&
    `${alien.actor} has published up to ${alien.lsn} what this database does not know: it was put back to an earlier state`
  )
}

/** Every partition carries every heartbeat, so one of them is enough. */
const partition = 0
const takeMax = 1000

/**
 * Reads the actor's heartbeats that this database has not seen come back, before it accepts a write, and stores what
 * they tell against it.
 *
 * @throws if database or Kafka cannot be reached; the applier then finds out when it reads them.
 */
export async function checkPublished(
  session: MergeSession,
  log: EventLog,
  actor: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const topic = await log.ensureTopic()
  let position = (await session.readOffsets(topic)).offsets.get(partition)
  if (position === undefined) return undefined
  const reader = log.openReader(topic)
  signal.addEventListener('abort', () => void reader.close().catch(() => {}), { once: true })
  try {
    const end = (await reader.ranges())[partition]?.latest ?? 0n
    reader.start(new Map([[partition, position]]))
    while (position < end && !signal.aborted) {
      const records = await reader.take(takeMax)
      const decoded = records.map((record) => decodeRecord(record, actor))
      const { ownHeartbeats, advances } = sortBatch(decoded, actor, new Map())
      position = advances.get(partition)?.to ?? position
      const restored = findRestored(ownHeartbeats, await session.readOwnPosition())
      if (!restored) continue
      await session.refuseWrites(restored)
      return restored
    }
    return undefined
  } finally {
    void reader.close().catch(() => {})
  }
}
