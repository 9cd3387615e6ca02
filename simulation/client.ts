/**
 * Clients: they read, think, write, and send a write again, perhaps elsewhere, until they have an answer.
 *
 * Invariant: every attempt of one write is the same request, byte for byte. What a client believes to be current is what
 * it has read or been answered, never more.
 */

import type { PropertyView } from '../backend/src/domain/property.ts'
import { decodeEtag } from '../backend/src/domain/etag.ts'
import type { Guard, WriteOutcome, WriteRequest } from '../backend/src/domain/write.ts'
import { fingerprintOf } from '../backend/src/http/fingerprint.ts'
import type { Answer } from './backend.ts'
import type { WriteStep } from './plan.ts'
import type { World } from './world.ts'

/** NGINX gives up on a backend after so long, ms. */
const readTimeoutMs = 900

type Known = Pick<PropertyView, 'version' | 'etag' | 'deleted'>

export class Clients {
  readonly #world: World
  /** What each client has last heard of each property. */
  readonly #known = new Map<string, Known>()
  #busy = 0

  constructor(world: World) {
    this.#world = world
  }

  get idle(): boolean {
    return this.#busy === 0
  }

  run(step: WriteStep): void {
    this.#busy++
    void this.#run(step).finally(() => this.#busy--)
  }

  async #run(step: WriteStep): Promise<void> {
    const { scheduler } = this.#world
    const key = `${step.client}/${step.property}`
    const known = await this.#look(step, key)
    if (!known) return
    await scheduler.pause(step.thinkMs * 1000)
    const request = this.#requestOf(step, known, await this.#changesOf(step, known))
    let answered = false
    for (const { region, afterMs, regardless } of step.attempts) {
      if (answered && !regardless) continue
      await scheduler.pause(afterMs * 1000)
      const outcome = await this.#ask(region, (backend) => backend.write(request))
      if (outcome) answered = this.#learn(key, { region, request, known, outcome }) || answered
    }
  }

  async #look(step: WriteStep, key: string): Promise<Known | undefined> {
    const known = this.#known.get(key)
    if (!step.readFrom && known) return known
    const region = step.readFrom ?? step.attempts[0]?.region ?? ''
    const read = await this.#ask(region, (backend) => backend.read(step.property))
    if (read) this.#known.set(key, read)
    return read
  }

  /** What the client asks for, given what it has read; a deletion has nothing but itself. */
  async #changesOf(step: WriteStep, { deleted }: Known): Promise<WriteRequest['changes']> {
    if (step.intent === 'delete') return { deleted: true }
    const changes = (step.intent === 'restore' && (await this.#lossOf(step))) || step.changes
    return deleted && step.revives && changes['deleted'] === undefined
      ? { ...changes, deleted: false }
      : changes
  }

  /** A value that is on record as lost, for the client to write again. */
  async #lossOf({ property, attempts, client }: WriteStep): Promise<WriteStep['changes'] | undefined> {
    const region = attempts[0]?.region ?? ''
    const losses = (await this.#ask(region, (backend) => backend.losses(property))) ?? []
    const loss = losses[client % losses.length]
    if (loss) this.#world.trace('client', `writes ${loss.id} back`)
    return loss?.value
  }

  #requestOf(
    { requestId, property, client }: WriteStep,
    known: Known,
    changes: WriteRequest['changes'],
  ): WriteRequest {
    let guard: Guard = { version: known.version }
    if (changes.deleted) guard = { ifMatch: [known.etag] }
    else if (this.#world.plan.guard === 'etag') {
      guard = client % 2 === 0 ? { ifMatch: [known.etag] } : { version: known.version, etag: known.etag }
    }
    const [method, body] = changes.deleted
      ? ['DELETE', null]
      : ['PUT', { ...changes, ...guard, ifMatch: null }]
    const fingerprint = fingerprintOf(method, `/properties/${property}`, body)
    return { id: property, requestId, fingerprint, guard, changes }
  }

  /** Asks a region's first backend that answers; gives up as NGINX does. */
  async #ask<T>(
    region: string,
    work: (backend: World['regions'][number]['backends'][number]) => Promise<Answer<T>>,
  ): Promise<Answer<T>> {
    const { scheduler, plan } = this.#world
    const { backends } = this.#world.region(region)
    const first = Math.floor(scheduler.now / 1000) % plan.backendsPerRegion
    for (let index = 0; index < backends.length; index++) {
      const backend = backends[(first + index) % backends.length]
      if (!backend) break
      const answer = await Promise.race([
        work(backend),
        scheduler.pause(readTimeoutMs * 1000).then(() => undefined),
      ])
      if (answer !== undefined) return answer
    }
    return undefined
  }

  /** Whether the outcome ends the client's attempts. */
  #learn(
    key: string,
    {
      region,
      request,
      known,
      outcome,
    }: { region: string; request: WriteRequest; known: Known; outcome: WriteOutcome },
  ): boolean {
    const { observation, scheduler, trace } = this.#world
    const told = (acceptance: { actor: string; n: number; etag: string; version: number }): true => {
      this.#known.set(key, { ...acceptance, ...(request.changes.deleted && { deleted: true }) })
      const seen = decodeEtag(known.etag) ?? {}
      observation.acknowledge({ region, request, acceptance, seen, at: scheduler.now })
      return true
    }
    switch (outcome.kind) {
      case 'accepted': {
        const { actor } = this.#world.region(region).database
        const { etag, version } = outcome.property
        return told({ actor, n: decodeEtag(etag)?.[actor] ?? 0, etag, version })
      }
      case 'duplicate_request':
        return told(outcome.original)
      case 'request_id_reused':
        observation.fail(`${request.requestId} is said to be of another request`)
        return true
      case 'precondition_failed':
      case 'version_conflict':
        trace('client', `${request.requestId} is refused by ${region}: ${outcome.current.etag} is current`)
        this.#known.set(key, outcome.current)
        return true
      case 'deleted':
        trace('client', `${request.requestId} is refused by ${region}: ${outcome.current.etag} is deleted`)
        this.#known.set(key, outcome.current)
        return true
      case 'not_found':
        observation.fail(`${request.id} is not found`)
        return true
      default:
        return outcome satisfies never
    }
  }
}
