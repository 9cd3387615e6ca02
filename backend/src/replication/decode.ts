/**
 * Sorts a batch of records into events to merge, heartbeats, and records that are no events.
 *
 * Invariant: every record of the batch ends in exactly one of these, or is this actor's own; none blocks the others.
 */

import { parseEvent, type Heartbeat, type MeridianEvent, type PropertyEvent } from '../domain/event.ts'
import type { IncomingRecord } from '../kafka/reader.ts'
import type { DeliveredHeartbeat } from '../postgres/merge-marks.ts'
import type { OffsetAdvance } from '../postgres/kafka-offsets.ts'
import type { QuarantinedRecord } from '../postgres/quarantine-record.ts'

/** A record as far as it can be judged alone. With neither `event` nor `reason` it is this actor's own. */
export interface DecodedRecord {
  readonly record: IncomingRecord
  readonly event?: MeridianEvent
  /** Why it is no event. */
  readonly reason?: string
}

export interface DecodedBatch {
  readonly events: readonly PropertyEvent[]
  /** The newest heartbeat of each actor and partition. */
  readonly heartbeats: readonly DeliveredHeartbeat[]
  /** The newest heartbeat of each run of this actor that came back. */
  readonly ownHeartbeats: readonly Heartbeat[]
  readonly poison: readonly QuarantinedRecord[]
  /** How far each partition moves when the batch is merged. */
  readonly advances: ReadonlyMap<number, OffsetAdvance>
}

export function decodeRecord(record: IncomingRecord, ownActor: string): DecodedRecord {
  if (record.actor === ownActor) return { record }
  try {
    return { record, event: parseEvent(record.value.toString()) }
  } catch (error) {
    return { record, reason: String(error) }
  }
}

/** `positions` holds the offset of each partition from which the batch continues. */
export function sortBatch(
  decoded: readonly DecodedRecord[],
  ownActor: string,
  positions: ReadonlyMap<number, bigint>,
): DecodedBatch {
  const events: PropertyEvent[] = []
  const heartbeats = new Map<string, DeliveredHeartbeat>()
  const poison: QuarantinedRecord[] = []
  const advances = new Map<number, OffsetAdvance>()
  const ownHeartbeats = new Map<string, Heartbeat>()
  for (const { record, event, reason } of decoded) {
    const { partition, offset, value } = record
    advances.set(partition, { from: positions.get(partition) ?? 0n, to: offset + 1n })
    if (reason !== undefined) poison.push({ partition, offset, payload: value, reason })
    if (!event) continue
    if (event.type === 'heartbeat') {
      if (event.actor === ownActor) ownHeartbeats.set(event.run, event)
      else heartbeats.set(`${event.actor}/${partition}`, { heartbeat: event, partition })
    } else if (event.actor !== ownActor) events.push(event)
  }
  return {
    events,
    heartbeats: [...heartbeats.values()],
    ownHeartbeats: [...ownHeartbeats.values()],
    poison,
    advances,
  }
}
