/**
 * Folds a batch of events before the database is asked.
 *
 * Invariant: merging the folded batch leaves the row that merging its events one by one leaves. A state is only left
 * out if the next one of its property has seen it: what the two have lost to others was recorded where the later one
 * was made. Concurrent states stay apart, in order, so that each loss between them is detected against the row.
 */

import { joinAcceptances, type Claim } from '../domain/claim.ts'
import { joinConflicts, type ConflictRecord } from '../domain/conflict.ts'
import type { PropertyEvent } from '../domain/event.ts'
import type { PropertyState } from '../domain/property.ts'
import { dominates } from '../domain/stamp.ts'

export interface FoldedProperty {
  readonly id: number
  /** At least one; none is dominated by its successor. */
  readonly states: readonly PropertyState[]
  readonly conflicts: readonly ConflictRecord[]
}

export interface FoldedBatch {
  /** In the order of their ids. */
  readonly properties: readonly FoldedProperty[]
  readonly claims: readonly Claim[]
}

export function foldEvents(events: readonly PropertyEvent[]): FoldedBatch {
  const byId = Map.groupBy(events, ({ state }) => state.id)
  const properties = [...byId].map(([id, own]): FoldedProperty => ({
    id,
    states: own
      .map(({ state }) => state)
      .filter((state, index) => !isSuperseded(state, own[index + 1]?.state)),
    conflicts: joinConflicts(...own.map(({ conflicts }) => conflicts)),
  }))
  return { properties: properties.toSorted((a, b) => a.id - b.id), claims: foldClaims(events) }
}

const isSuperseded = (state: PropertyState, next: PropertyState | undefined): boolean =>
  next !== undefined && dominates(next.vector, state.vector)

function foldClaims(events: readonly PropertyEvent[]): readonly Claim[] {
  const claims = new Map<string, Claim>()
  for (const { request_id, acceptances } of events.flatMap((event) => event.claims)) {
    const before = claims.get(request_id)?.acceptances ?? []
    claims.set(request_id, { request_id, acceptances: joinAcceptances(before, acceptances) })
  }
  return [...claims.values()]
}
