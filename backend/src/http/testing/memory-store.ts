/**
 * A `PropertyStore` in memory for the tests of the HTTP layer, deciding writes by the domain's own `decideWrite`.
 *
 * Only the HTTP layer is tested against it: the tests of the statements and of the whole system use a real database.
 */

import type { Acceptance } from '../../domain/claim.ts'
import type { ConflictRecord } from '../../domain/conflict.ts'
import { represent, viewOf, type PropertyState, type Representation } from '../../domain/property.ts'
import { seedTime } from '../../domain/stamp.ts'
import { acceptedStatus, decideWrite, type WriteOutcome, type WriteRequest } from '../../domain/write.ts'
import { seedState } from '../../testing/arbitraries.ts'
import type { PropertyStore } from '../store.ts'

export class MemoryStore implements PropertyStore {
  readonly actor: string
  readonly states = new Map<number, PropertyState>()
  readonly claims = new Map<string, Acceptance>()
  conflicts: ConflictRecord[] = []
  /** Awaited before each call answers: a test makes the store slow or failing by it. */
  gate: () => Promise<void> = () => Promise.resolve()
  refusal: PropertyStore['refusal'] = () => undefined
  #clock = seedTime

  constructor({ actor = 'us.test', properties = 10 }: { actor?: string; properties?: number } = {}) {
    this.actor = actor
    for (let id = 1; id <= properties; id += 1) {
      const seed = seedState(id)
      this.states.set(id, { ...seed, fields: { ...seed.fields, title: 'Loft by the river' } })
    }
  }

  async read(id: number): Promise<Representation | undefined> {
    await this.gate()
    const state = this.states.get(id)
    return state && represent(state)
  }

  async write(request: WriteRequest): Promise<WriteOutcome> {
    await this.gate()
    const original = this.claims.get(request.requestId)
    if (original) {
      const same = original.fingerprint === request.fingerprint
      return { kind: same ? 'duplicate_request' : 'request_id_reused', original }
    }
    const state = this.states.get(request.id)
    if (!state) return { kind: 'not_found' }
    this.#clock += 1_234_567
    const context = { actor: this.actor, t: this.#clock }
    const decided = decideWrite(state, request, context)
    if (typeof decided === 'string') return { kind: decided, current: viewOf(state) }
    this.states.set(request.id, decided)
    const property = viewOf(decided)
    this.claims.set(request.requestId, {
      property: request.id,
      actor: this.actor,
      n: decided.vector[this.actor] ?? 0,
      fingerprint: request.fingerprint,
      status: acceptedStatus(request.changes),
      version: property.version,
      etag: property.etag,
      xid: '1',
      t: context.t,
    })
    return { kind: 'accepted', property }
  }

  async openConflicts(limit: number): Promise<readonly ConflictRecord[]> {
    await this.gate()
    return this.conflicts.filter(({ resolution }) => !resolution?.resolved).slice(0, limit)
  }

  async conflictsOf(id: number): Promise<readonly ConflictRecord[] | undefined> {
    await this.gate()
    return this.states.has(id) ? this.conflicts.filter((record) => record.property_id === id) : undefined
  }
}
