/**
 * Clients that behave as this API asks of them, and write down everything that happens to them.
 *
 * Each reads a property, then sends its change guarded by the version and ETag that it saw, with a fresh
 * `X-Request-ID`. 409 and 412 carry the current state, and so does 404 of a deleted property: a change is made again on
 * that, under a new id. No answer, 429 or 5xx: the same request again, under the same id, a bounded number of times. 422
 * with this request's own `original` is the success that an earlier attempt had.
 *
 * Every attempt that got neither an outcome nor a refusal is recorded as failed, also if its repetition succeeded.
 */

import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { waitUntil } from '../../local/wait.ts'
import {
  dotOf,
  History,
  loadFields,
  vectorOfEtag,
  versionOf,
  type AcknowledgedWrite,
  type Observation,
  type SentWrite,
} from './history.ts'
import { HttpClient, type Answer, type Request } from './http.ts'

/** How often one request is sent at most, and the pause before it is sent again: 30 s in all. */
const attemptsMax = 60
const retryPauseMs = 500
/** How often a change is made again after 409; two writers of one property rarely need more than three. */
const redoMax = 50

export type LoadOptions = {
  /** NGINX's address. */
  readonly url: string
  readonly properties: readonly number[]
  /** Number of clients by the region that they ask. */
  readonly clients: Readonly<Record<string, number>>
  /** Writes a second of all clients together; as fast as they can if absent. */
  readonly writesPerSecond?: number
  /** Each client has its share of the properties to itself, and goes on from the last answer instead of reading. */
  readonly alone?: boolean
  /** Share of writes that delete their property, 0 to 1; 0 if absent. Who meets a deleted property restores it. */
  readonly deletes?: number
  /** Chooses the properties and what deletes, from 0 to below 1; `Math.random` if absent. */
  readonly random?: () => number
  /** Told of every property that a client is shown. */
  readonly observe?: (observation: Observation) => void
}

/** Properties for a load that has them to itself. */
export const idsFrom = (first: number, count: number): number[] =>
  Array.from({ length: count }, (_, index) => first + index)

type View = Readonly<{ version: number; etag: string; deleted?: boolean }>
type WriteResult = { acknowledged: View } | { current: View } | undefined

type Client = {
  readonly name: string
  readonly region: string
  readonly properties: readonly number[]
  /** What the last answers said, by property; stays empty if others write there too. */
  readonly known: Map<number, View>
}

let values = 0

export class Load {
  readonly history = new History()
  readonly #options: LoadOptions
  readonly #http = new HttpClient()
  readonly #workers: Promise<void>[]
  #stopping = false

  private constructor(options: LoadOptions) {
    this.#options = options
    const regions = Object.entries(options.clients).flatMap(([region, count]) => Array(count).fill(region))
    const intervalMs =
      options.writesPerSecond === undefined ? 0 : (regions.length * 1000) / options.writesPerSecond
    this.#workers = regions.map((region: string, index) => {
      const client: Client = {
        name: `${options.url} ${region} ${index}`,
        region,
        properties: options.alone
          ? options.properties.filter((_, position) => position % regions.length === index)
          : options.properties,
        known: new Map(),
      }
      return this.#work(client, intervalMs, (intervalMs * index) / regions.length)
    })
  }

  /** Begins to write, until `stop`. */
  static start(options: LoadOptions): Load {
    return new Load(options)
  }

  /** Resolves when every client has finished what it had begun. */
  async stop(): Promise<History> {
    this.#stopping = true
    try {
      await Promise.all(this.#workers)
    } finally {
      this.#http.close()
    }
    return this.history
  }

  /** Resolves when `count` more writes have been acknowledged that fit; rejects if a client has failed. */
  async acknowledges(
    count: number,
    {
      timeoutMs = 30_000,
      which = () => true,
    }: { timeoutMs?: number; which?: (w: AcknowledgedWrite) => boolean } = {},
  ): Promise<readonly AcknowledgedWrite[]> {
    const first = this.history.acknowledged.length
    let found: readonly AcknowledgedWrite[] = []
    const enough = waitUntil(
      () => {
        found = this.history.acknowledged.slice(first).filter(which)
        return found.length >= count
      },
      { timeoutMs, intervalMs: 10, what: () => `${count} acknowledged writes, got ${found.length}` },
    )
    await Promise.race([enough, Promise.all(this.#workers).then(() => enough)])
    return found
  }

  async #work(client: Client, intervalMs: number, firstAfterMs: number): Promise<void> {
    let due = performance.now() + firstAfterMs
    while (!this.#stopping) {
      const early = due - performance.now()
      if (early > 0) await delay(early)
      due = Math.max(due + intervalMs, performance.now() - 1_000)
      if (!this.#stopping) await this.#changeOne(client)
    }
  }

  async #changeOne(client: Client): Promise<void> {
    const { region, properties, known } = client
    const { random = Math.random, deletes = 0 } = this.#options
    const property = properties[Math.floor(random() * properties.length)] as number
    let current = known.get(property) ?? (await this.#read(client, property))
    known.delete(property)
    for (let redo = 0; current && redo < redoMax; redo++) {
      const write = newWrite({ region, property }, current, random() < deletes)
      const result = await this.#write(client, write, current)
      if (!result) return
      if ('acknowledged' in result) {
        if (this.#options.alone) known.set(property, result.acknowledged)
        return
      }
      current = result.current
    }
  }

  async #read(client: Client, property: number): Promise<View | undefined> {
    const answer = await this.#sendUntilAnswered(`/${client.region}/properties/${property}`, {})
    return answer && this.#observe(client, property, answer)
  }

  async #write(client: Client, write: SentWrite, { version, etag }: View): Promise<WriteResult> {
    const { requestId, region, property, field, value } = write
    this.history.sent.set(requestId, write)
    const began = performance.now()
    const answer = await this.#sendUntilAnswered(`/${region}/properties/${property}`, {
      requestId,
      ...(value === true
        ? { method: 'DELETE', ifMatch: etag }
        : { method: 'PUT', body: { [field]: value, version, etag } }),
    })
    if (!answer) {
      this.history.unresolved.push(write)
      return undefined
    }
    if (refusals.has(answer.status)) {
      this.history.refused.push(write)
      return { current: this.#observe(client, property, answer) }
    }
    const acknowledged = acknowledgement(write, answer, began)
    this.history.acknowledged.push(acknowledged)
    if (!acknowledged.foundAgain) this.#observe(client, property, answer)
    return { acknowledged: { ...acknowledged, deleted: value === true } }
  }

  /** The property as an answer shows it. */
  #observe({ name }: Client, property: number, answer: Answer): View {
    const body = shownIn(answer, property)
    const { servedBy } = answer
    this.#options.observe?.({ client: name, property, servedBy, body, at: performance.now() })
    return body as View
  }

  /** The answer of a request, sent again until there is one; undefined if it was given up. */
  async #sendUntilAnswered(path: string, request: Request): Promise<Answer | undefined> {
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      if (attempt > 0) await delay(retryPauseMs)
      const beganAt = performance.now()
      const outcome = await this.#http.send(this.#options.url + path, request).catch((error: Error) => error)
      if (!(outcome instanceof Error) && isOutcome(outcome)) return outcome
      this.history.failures.push({
        method: request.method ?? 'GET',
        path,
        requestId: request.requestId,
        reason: reasonOf(outcome),
        beganAt,
        at: performance.now(),
      })
    }
    return undefined
  }
}

/** Stale, by version or `If-Match`, and deleted. */
const refusals: ReadonlySet<number> = new Set([409, 412, 404])

/** Success, stale, deleted, or accepted before: everything else is a failure of the service. */
function isOutcome({ status, body }: Answer): boolean {
  if (status === 404) return body['code'] === 'deleted'
  if (status === 422) return body['code'] === 'duplicate_request'
  return status === 200 || status === 204 || refusals.has(status)
}

/**
 * The property that an answer shows. Of a deleted one only what all answers show: a stale restoration is told all of it,
 * other refusals version and ETag, and the answer to a DELETE the ETag alone.
 */
function shownIn({ status, headers, body }: Answer, property: number): Answer['body'] {
  const shown = (body['current'] ?? body) as Answer['body']
  if (status !== 204 && status !== 404 && !shown['deleted']) return shown
  const etag = headers.etag ?? String(shown['etag'])
  const version = shown['version'] ?? versionOf(vectorOfEtag(etag))
  return { id: property, deleted: true, version, etag }
}

function reasonOf(outcome: Answer | Error): string {
  if (outcome instanceof Error) return `${outcome.name}: ${outcome.message}`
  return `${outcome.status} ${String(outcome.body['code'])} by ${outcome.servedBy}`
}

function newWrite(where: Pick<SentWrite, 'region' | 'property'>, seen: View, deletes: boolean): SentWrite {
  const requestId = `load-${randomUUID()}`
  const write = { requestId, ...where, base: vectorOfEtag(seen.etag) }
  if (seen.deleted || deletes) return { ...write, field: 'deleted', value: !seen.deleted }
  const number = ++values
  const field = loadFields[number % loadFields.length] as SentWrite['field']
  return { ...write, field, value: field === 'price' ? number : `${field} ${number}` }
}

function acknowledgement(write: SentWrite, answer: Answer, began: number): AcknowledgedWrite {
  const foundAgain = answer.status === 422
  const shown = foundAgain ? answer.body['original'] : shownIn(answer, write.property)
  const given = shown as View & { region?: string }
  const servedBy = given.region ?? answer.servedBy
  const at = performance.now()
  return {
    write,
    dot: dotOf(given.etag, servedBy),
    servedBy,
    failover: answer.failover,
    version: given.version,
    etag: given.etag,
    foundAgain,
    at,
    latencyMs: at - began,
  }
}
