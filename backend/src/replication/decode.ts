/**
 * Sorts a batch of records into events to merge, heartbeats, and records that are no events.
 *
 * Invariant: every record of the batch ends in exactly one of these, or is this actor's own; none blocks the others.
 */

import { parseEvent, type Heartbeat, type PropertyEvent } from '../domain/event.ts'
import type { IncomingRecord } from '../kafka/reader.ts'
import type { DeliveredHeartbeat } from '../postgres/merge-marks.ts'
import type { OffsetAdvance } from '../postgres/kafka-offsets.ts'
import type { QuarantinedRecord } from '../postgres/quarantine-record.ts'

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

/** `positions` holds the offset of each partition from which the batch continues. */
export function decodeBatch(
  records: readonly IncomingRecord[],
  ownActor: string,
  positions: ReadonlyMap<number, bigint>,
): DecodedBatch {
  const events: PropertyEvent[] = []
  const heartbeats = new Map<string, DeliveredHeartbeat>()
  const poison: QuarantinedRecord[] = []
  const advances = new Map<number, OffsetAdvance>()
  const ownHeartbeats = new Map<string, Heartbeat>()
  for (const { partition, offset, value, actor } of records) {
    advances.set(partition, { from: positions.get(partition) ?? 0n, to: offset + 1n })
    if (actor === ownActor) continue
    try {
      const event = parseEvent(value.toString())
      if (event.type === 'heartbeat') {
        if (event.actor === ownActor) ownHeartbeats.set(event.run, event)
        else heartbeats.set(`${event.actor}/${partition}`, { heartbeat: event, partition })
      } else if (event.actor !== ownActor) events.push(event)
    } catch (error) {
      poison.push({ partition, offset, payload: value, reason: String(error) })
    }
  }
  return {
    events,
    heartbeats: [...heartbeats.values()],
    ownHeartbeats: [...ownHeartbeats.values()],
    poison,
    advances,
  }
}
