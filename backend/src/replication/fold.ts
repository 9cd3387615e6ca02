/**
 * Folds a batch of events into one state per property, before the database is asked.
 *
 * Invariant: folding uses the domain's join and detects conflicts between the folded sides, so the result is what
 * merging the events one by one would give.
 */

import { joinAcceptances, type Claim } from '../domain/claim.ts'
import { joinConflicts, type ConflictRecord } from '../domain/conflict.ts'
import type { PropertyEvent } from '../domain/event.ts'
import { detectConflicts, joinStates } from '../domain/merge.ts'
import type { PropertyState } from '../domain/property.ts'

export interface FoldedProperty {
  readonly state: PropertyState
  readonly conflicts: readonly ConflictRecord[]
}

export interface FoldedBatch {
  readonly properties: ReadonlyMap<number, FoldedProperty>
  readonly claims: readonly Claim[]
}

export function foldEvents(events: readonly PropertyEvent[]): FoldedBatch {
  const properties = new Map<number, FoldedProperty>()
  const claims = new Map<string, Claim>()
  for (const { state, conflicts, claims: eventClaims } of events) {
    const known = properties.get(state.id)
    properties.set(state.id, known ? join(known, { state, conflicts }) : { state, conflicts })
    for (const claim of eventClaims) {
      const before = claims.get(claim.request_id)?.acceptances ?? []
      claims.set(claim.request_id, {
        request_id: claim.request_id,
        acceptances: joinAcceptances(before, claim.acceptances),
      })
    }
  }
  return { properties, claims: [...claims.values()] }
}

function join(a: FoldedProperty, b: FoldedProperty): FoldedProperty {
  return {
    state: joinStates(a.state, b.state),
    conflicts: joinConflicts(a.conflicts, b.conflicts, detectConflicts(a.state, b.state)),
  }
}
