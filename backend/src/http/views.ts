/** Answers that are not a property: conflict records and earlier acceptances, as clients see them. */

import type { Acceptance } from '../domain/claim.ts'
import type { ConflictRecord } from '../domain/conflict.ts'
import { formatTime } from '../domain/property.ts'
import { regionOf } from '../domain/stamp.ts'

/** A loss: what was written, by which request, where and when. */
export function conflictView(record: ConflictRecord): Readonly<Record<string, unknown>> {
  const [, t, actor, , requestId] = record.stamp
  return {
    id: record.id,
    property_id: record.property_id,
    group: record.group,
    kind: record.kind,
    value: record.value,
    request_id: requestId,
    region: regionOf(actor),
    written_at: formatTime(t),
    resolved: record.resolution?.resolved ?? false,
  }
}

/** The answer that a request id was given when it was accepted. */
export function originalView(acceptance: Acceptance): Readonly<Record<string, unknown>> {
  return {
    status: acceptance.status,
    version: acceptance.version,
    etag: acceptance.etag,
    property_id: acceptance.property,
    region: regionOf(acceptance.actor),
    accepted_at: formatTime(acceptance.t),
  }
}
