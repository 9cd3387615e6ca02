/**
 * What a load has done, as its clients saw it: every write that was sent, every answer that counts, every failure.
 *
 * Invariant: a write is recorded before it is sent, so whatever is found in a database later can be traced to it; and
 * every write of another field than `deleted` carries a value that no other write carries, so that a value names the write
 * it came from.
 */

/** Fields that hold enough different values to give each write its own. */
export const loadFields = ['price', 'title', 'description'] as const
/** A write of `deleted` deletes (true) or restores (false). */
export type WrittenField = (typeof loadFields)[number] | 'deleted'

export type Vector = Readonly<Record<string, number>>

/** One accepted write's name in its property: the actor's n-th. */
export type Dot = { readonly actor: string; readonly n: number }

export type SentWrite = {
  readonly requestId: string
  readonly region: string
  readonly property: number
  readonly field: WrittenField
  readonly value: number | string | boolean
  /** What the client had seen: the vector of the ETag that guards the write. */
  readonly base: Vector
}

export type AcknowledgedWrite = {
  readonly write: SentWrite
  readonly dot: Dot
  /** Region that answered; for a retry that found its own success, the one that had accepted it. */
  readonly servedBy: string
  readonly failover: boolean
  readonly version: number
  readonly etag: string
  /** True if the answer was 422 with the original of this very request. */
  readonly foundAgain: boolean
  /** On `performance.now()`. */
  readonly at: number
  readonly latencyMs: number
}

export type FailedRequest = {
  readonly method: string
  readonly path: string
  readonly requestId: string | undefined
  /** HTTP status and code, or the network error. */
  readonly reason: string
  readonly beganAt: number
  readonly at: number
}

/** A whole property as one client was shown it, by a read, a write or a refusal. */
export type Observation = {
  readonly client: string
  readonly property: number
  readonly servedBy: string
  readonly body: Readonly<Record<string, unknown>>
  readonly at: number
}

export class History {
  readonly sent = new Map<string, SentWrite>()
  readonly acknowledged: AcknowledgedWrite[] = []
  readonly failures: FailedRequest[] = []
  /** Writes refused as stale: known not to have happened, unless an earlier attempt of theirs got no answer. */
  readonly refused: SentWrite[] = []
  /** Writes given up without an answer: they may have happened or not. */
  readonly unresolved: SentWrite[] = []

  /** What several loads have done, in order of time. */
  static join(histories: readonly History[]): History {
    const joined = new History()
    for (const { sent, acknowledged, failures, refused, unresolved } of histories) {
      for (const [requestId, write] of sent) joined.sent.set(requestId, write)
      for (const known of acknowledged) joined.acknowledged.push(known)
      for (const failure of failures) joined.failures.push(failure)
      for (const write of refused) joined.refused.push(write)
      for (const write of unresolved) joined.unresolved.push(write)
    }
    joined.acknowledged.sort((a, b) => a.at - b.at)
    joined.failures.sort((a, b) => a.at - b.at)
    return joined
  }

  /** Acknowledged writes that were asked of `region`, since `at`. */
  acknowledgedSince(at: number, region?: string): readonly AcknowledgedWrite[] {
    const recent: AcknowledgedWrite[] = []
    for (let index = this.acknowledged.length - 1; index >= 0; index--) {
      const known = this.acknowledged[index]
      if (!known || known.at < at) break
      if (region === undefined || known.write.region === region) recent.unshift(known)
    }
    return recent
  }

  /** Time of the last acknowledgement. */
  get lastAt(): number {
    return this.acknowledged.at(-1)?.at ?? 0
  }
}

export const versionOf = (vector: Vector): number => Object.values(vector).reduce((total, n) => total + n, 1)

/** The vector that a strong ETag spells: `"us.a1:4;eu.b2:2"`, or `"seed"`. */
export function vectorOfEtag(etag: string): Vector {
  const opaque = etag.replaceAll('"', '')
  if (opaque === 'seed') return {}
  return Object.fromEntries(
    opaque.split(';').map((entry) => {
      const [actor = '', n = ''] = entry.split(':')
      return [actor, Number(n)]
    }),
  )
}

export function covers(vector: Vector, { actor, n }: Dot): boolean {
  return (vector[actor] ?? 0) >= n
}

/** The dot of the write that was answered with this ETag by this region. */
export function dotOf(etag: string, region: string): Dot {
  const own = Object.entries(vectorOfEtag(etag)).filter(([actor]) => actor.startsWith(`${region}.`))
  const [actor, n] = own[0] ?? []
  if (own.length !== 1 || actor === undefined || n === undefined) {
    throw new Error(`the ETag ${etag} does not name one write of ${region}`)
  }
  return { actor, n }
}
