/**
 * The state of one property: what is stored, replicated and merged.
 *
 * Invariant: the vector determines the row. Two regions whose vectors of a property are equal hold equal fields,
 * stamps and extra members; conflict records are a set beside the row that only ever grows by join.
 */

import type { Fields } from './fields.ts'
import { encodeEtag } from './etag.ts'
import { seedTime, versionOf, type Stamp, type Vector } from './stamp.ts'

export interface PropertyState {
  readonly id: number
  readonly region_origin: string
  readonly fields: Fields
  readonly vector: Vector
  /**
   * The stamp of each field that was ever written, by field name; a field without one has the seed's. Stamps of
   * members that this release does not know are kept as they came.
   */
  readonly stamps: Readonly<Record<string, Stamp>>
  /**
   * Members written by a newer release; merged by their stamps and passed on unchanged. A member that this release knows
   * as a field may still be here, left by an older backend of the region while it was upgraded: it counts for nothing.
   */
  readonly extra: Readonly<Record<string, unknown>>
}

/** A property as clients see it. Only the view of a deleted one tells that it is. */
export type PropertyView = {
  readonly id: number
  readonly region_origin: string
} & Omit<Fields, 'deleted'> & {
    readonly deleted?: true
    readonly version: number
    readonly updated_at: string
    readonly etag: string
  }

/** A property as a read is answered: what is shown of it, and the same as JSON. */
export interface Representation {
  readonly view: PropertyView
  readonly json: string
}

/** Greatest t of the row, in µs since the epoch: part of the state, so it is equal wherever the vector is. */
export function updatedAt(stamps: Readonly<Record<string, Stamp>>): number {
  return Math.max(seedTime, ...Object.values(stamps).map((stamp) => stamp[1]))
}

/** ISO 8601 in UTC with microseconds. */
export function formatTime(microseconds: number): string {
  const milliseconds = Math.floor(microseconds / 1000)
  const rest = String(microseconds - milliseconds * 1000).padStart(3, '0')
  return new Date(milliseconds).toISOString().replace('Z', `${rest}Z`)
}

export function viewOf(state: PropertyState): PropertyView {
  const { deleted, ...fields } = state.fields
  return {
    id: state.id,
    region_origin: state.region_origin,
    ...fields,
    ...(deleted && { deleted }),
    version: versionOf(state.vector),
    updated_at: formatTime(updatedAt(state.stamps)),
    etag: encodeEtag(state.vector),
  }
}

export function represent(state: PropertyState): Representation {
  const view = viewOf(state)
  return { view, json: JSON.stringify(view) }
}
