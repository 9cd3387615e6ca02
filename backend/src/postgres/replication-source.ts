import type pg from 'pg'
import { beginRun, emitHeartbeat, type HeartbeatOrigin } from './emit-heartbeat.ts'
import { ReplicationStream, type FrameSink } from './replication-stream.ts'

/** The region's slot, and the heartbeats that pass through it. `now` gives ms since the epoch. */
export const replicationSource = (
  { databaseUrl, pool, slot }: { databaseUrl: string; pool: pg.Pool; slot: string },
  now: () => number,
) => ({
  open: (sink: FrameSink) => ReplicationStream.open(databaseUrl, slot, sink, now),
  beginRun: () => beginRun(pool),
  emitHeartbeat: (heartbeat: HeartbeatOrigin) => emitHeartbeat(pool, heartbeat),
})
