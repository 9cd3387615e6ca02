/**
 * Whether a database may accept writes as the actor that it holds.
 *
 * Invariant: a database that is not the one in which its actor was born, or whose writes would not leave it, accepts
 * none. It would issue dots a second time, or take writes that no other region ever sees.
 */

export interface Incarnation {
  readonly actor: string
  readonly slot: string
  /** Start of the slot's lineage. */
  readonly since: string
}

export type Prepared =
  | { readonly kind: 'ready'; readonly incarnation: Incarnation }
  /** The database is not the one that this actor was born in, or belongs to another region. */
  | { readonly kind: 'incarnation_mismatch'; readonly detail: string }
  /** The slot is gone or invalid: accepted writes would not replicate. */
  | { readonly kind: 'slot_lost'; readonly detail: string }

/** What a database says of itself. */
export interface KnownIncarnation {
  readonly actor: string
  readonly region: string
  readonly slot: string
  readonly since: string | null
  /** Whether the database is still the one, and on the timeline, in which the actor was born. */
  readonly same_system: boolean
  readonly same_timeline: boolean
  /** `lost` if the slot has lost WAL that it needs; null if there is no slot. */
  readonly wal_status: string | null
  /** Why an applier has found that no write may be accepted any more; null while it has found nothing. */
  readonly refused: string | null
}

export function judgeIncarnation(known: KnownIncarnation, region: string): Prepared {
  const { actor, slot, since } = known
  const mismatch = describeMismatch(known, region)
  if (mismatch) return { kind: 'incarnation_mismatch', detail: mismatch }
  if (known.wal_status === null || since === null) {
    return { kind: 'slot_lost', detail: `the replication slot ${slot} does not exist` }
  }
  if (known.wal_status === 'lost') {
    return { kind: 'slot_lost', detail: `the replication slot ${slot} has lost the WAL that it needs` }
  }
  return { kind: 'ready', incarnation: { actor, slot, since } }
}

function describeMismatch(known: KnownIncarnation, region: string): string | undefined {
  if (known.region !== region) return `the database belongs to region ${known.region}, not ${region}`
  if (!known.same_system) {
    return `${known.actor} was born in another PostgreSQL system: this database is a copy or a restored dump`
  }
  if (!known.same_timeline) {
    return `${known.actor} was born on another timeline: this database was restored or promoted`
  }
  return known.refused ?? undefined
}
