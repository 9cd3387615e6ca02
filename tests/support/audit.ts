/**
 * Whether the databases hold exactly what the clients were told.
 *
 * Looked for are all the ways in which a write can be lost or doubled: an acknowledged write that no vector covers, an
 * acceptance that nobody sent, a dot used twice or never, a request accepted twice that is not on record as such, and
 * an acknowledged value that is gone although nobody who replaced it had seen it and no conflict record keeps it.
 *
 * Needs equal regions: one of them is looked at for all.
 */

import type pg from 'pg'
import { covers, versionOf, type Dot, type History, type SentWrite, type Vector } from './history.ts'

export type Acceptance = Dot & {
  readonly property: number
  readonly version: number
  readonly etag: string
}

export type Row = {
  readonly id: number
  readonly version: number
  readonly vector: Vector
  readonly stamps: Readonly<Record<string, readonly [number, number, string, number, string]>>
  readonly price: number
  readonly title: string
  readonly description: string
  readonly deleted: boolean
}

/** A pool, or one connection, to look at what its transaction has changed. */
type Database = pg.Pool | pg.ClientBase

export type Claims = ReadonlyMap<string, readonly Acceptance[]>
/** Kind of each conflict record, by its id. */
export type Conflicts = ReadonlyMap<string, string>

/** What a region holds of the properties and requests of a load. */
export type Holding = {
  readonly rows: readonly Row[]
  readonly claims: Claims
  readonly conflicts: Conflicts
}

export type Audit = {
  /** What is wrong; empty if nothing is. */
  readonly problems: readonly string[]
  readonly acknowledged: number
  /** Accepted writes, twins included. */
  readonly accepted: number
  /** Accepted writes that deleted their property. */
  readonly deletes: number
  /** Requests that both regions have accepted. */
  readonly twins: number
  /** Accepted writes whose client was refused or told nothing. */
  readonly unannounced: number
  /** Records of lost values of these properties. */
  readonly conflicts: number
}

const dotName = ({ actor, n }: Dot): string => `${actor}:${n}`

/** The vectors of properties, to tell writes of a load from those before it. */
export async function readVectors(database: Database, ids: readonly number[]): Promise<Map<number, Vector>> {
  return new Map((await readRows(database, ids)).map(({ id, vector }) => [id, vector]))
}

/** Compares a region with what the clients of a load were told; `before` is `readVectors` from before the load. */
export async function audit(
  database: Database,
  history: History,
  before: ReadonlyMap<number, Vector>,
): Promise<Audit> {
  const holding = {
    rows: await readRows(database, [...before.keys()]),
    claims: await readClaims(database, [...history.sent.keys()]),
    conflicts: await readConflicts(database, [...before.keys()]),
  }
  return judge(holding, history, before)
}

/** The comparison itself, of what was read. */
export function judge(holding: Holding, history: History, before: ReadonlyMap<number, Vector>): Audit {
  const { rows, claims, conflicts } = holding
  const acceptedOf = Map.groupBy([...claims.values()].flat(), ({ property }) => property)
  const problems = [
    ...checkAcknowledged(history, claims),
    ...rows.flatMap((row) => checkDots(row, before.get(row.id) ?? {}, acceptedOf.get(row.id) ?? [])),
    ...checkTwins(claims, conflicts),
    ...checkValues(history, rows, claims, conflicts),
  ]
  const announced = new Set(history.acknowledged.map(({ write }) => write.requestId))
  return {
    problems,
    acknowledged: history.acknowledged.length,
    accepted: [...claims.values()].flat().length,
    deletes: [...history.sent.values()].filter(
      ({ requestId, value }) => value === true && claims.has(requestId),
    ).length,
    twins: [...claims.values()].filter((acceptances) => acceptances.length > 1).length,
    unannounced: [...claims.keys()].filter((requestId) => !announced.has(requestId)).length,
    conflicts: [...conflicts.values()].filter((kind) => kind === 'concurrent').length,
  }
}

/** Each acknowledged write is on record as it was answered, and no two of them are one. */
function checkAcknowledged(history: History, claims: Claims): string[] {
  const problems: string[] = []
  const dots = new Set<string>()
  for (const { write, dot, etag, version } of history.acknowledged) {
    const name = `${write.property} ${dotName(dot)} ${write.requestId}`
    const acceptance = claims.get(write.requestId)?.find((known) => dotName(known) === dotName(dot))
    if (!acceptance) problems.push(`acknowledged, but not on record: ${name}`)
    else if (acceptance.etag !== etag || acceptance.version !== version) {
      problems.push(
        `answered as ${version} ${etag}, on record as ${acceptance.version} ${acceptance.etag}: ${name}`,
      )
    }
    const key = `${write.property} ${dotName(dot)}`
    if (dots.has(key)) problems.push(`acknowledged twice: ${name}`)
    dots.add(key)
  }
  return problems
}

/** The property's vector counts exactly the accepted writes: each once, none without a request of the load. */
function checkDots(row: Row, before: Vector, accepted: readonly Acceptance[]): string[] {
  const problems: string[] = []
  const sum = versionOf(row.vector)
  if (sum !== row.version) problems.push(`${row.id} is at version ${row.version}, its vector says ${sum}`)
  const found = accepted.map(dotName).toSorted()
  const expected = Object.entries(row.vector)
    .flatMap(([actor, n]) => {
      const first = (before[actor] ?? 0) + 1
      return Array.from({ length: Math.max(0, n - first + 1) }, (_, index) => `${actor}:${first + index}`)
    })
    .toSorted()
  if (found.join(' ') !== expected.join(' ')) {
    const missing = expected.filter((dot) => !found.includes(dot))
    const extra = found.filter((dot, index) => !expected.includes(dot) || found.indexOf(dot) !== index)
    problems.push(
      `${row.id} at ${row.version}: writes without a claim [${missing.join(' ')}], not in the row or doubled [${extra.join(' ')}]`,
    )
  }
  return problems
}

/** A request takes effect once a region, and all its acceptances but the first are recorded as `duplicate`. */
function checkTwins(claims: Claims, conflicts: Conflicts): string[] {
  const problems: string[] = []
  for (const [requestId, acceptances] of claims) {
    if (new Set(acceptances.map(({ actor }) => actor)).size !== acceptances.length) {
      problems.push(`accepted twice in one region: ${requestId}`)
    }
    for (const { property, actor, n } of acceptances.slice(1)) {
      const kind = conflicts.get(`${property}/request/${actor}/${n}`)
      if (kind !== 'duplicate') problems.push(`a twin recorded as ${kind}: ${requestId}`)
    }
  }
  return problems
}

/**
 * Each acknowledged value is there, or was replaced by somebody who had seen it, or is kept by a conflict record, or one
 * of which this holds said the same beside it, which is no conflict.
 */
function checkValues(history: History, rows: readonly Row[], claims: Claims, conflicts: Conflicts): string[] {
  const problems: string[] = []
  const rowById = new Map(rows.map((row) => [row.id, row]))
  const accepted = [...history.sent.values()].filter(({ requestId }) => claims.has(requestId))
  const bySlot = Map.groupBy(accepted, ({ property, field }) => `${property}/${field}`)
  const hasSeen = ({ base }: SentWrite, { requestId }: SentWrite): boolean =>
    claims.get(requestId)?.some((seen) => covers(base, seen)) ?? false
  const isWinner = ({ property, field, requestId }: SentWrite): boolean => {
    const stamp = rowById.get(property)?.stamps[field]
    return claims.get(requestId)?.some(({ actor, n }) => actor === stamp?.[2] && n === stamp[3]) ?? false
  }
  const othersOf = (write: SentWrite): readonly SentWrite[] =>
    bySlot.get(`${write.property}/${write.field}`)?.filter((other) => other !== write) ?? []
  const isKept = (write: SentWrite): boolean =>
    claims
      .get(write.requestId)
      ?.some(
        (dot) =>
          conflicts.has(`${write.property}/${write.field}/${dot.actor}/${dot.n}`) ||
          othersOf(write).some(({ base }) => covers(base, dot)),
      ) ?? false
  const isSaidBeside = (write: SentWrite): boolean =>
    othersOf(write).some(
      (other) => other.value === write.value && !hasSeen(write, other) && (isWinner(other) || isKept(other)),
    )
  for (const write of accepted) {
    const row = rowById.get(write.property)
    const stamp = row?.stamps[write.field]
    if (!row || !stamp) {
      problems.push(`no stamp on ${write.property} ${write.field}, written by ${write.requestId}`)
      continue
    }
    const wins = isWinner(write)
    if (wins && row[write.field] !== write.value) {
      problems.push(
        `${write.property} ${write.field} is ${row[write.field]}, its stamp's write said ${write.value}`,
      )
    }
    if (!wins && !isKept(write) && !isSaidBeside(write)) {
      problems.push(
        `lost in silence: ${write.property} ${write.field} = ${write.value} of ${write.requestId}`,
      )
    }
  }
  return problems
}

async function readRows(database: Database, ids: readonly number[]): Promise<readonly Row[]> {
  const { rows } = await database.query<Row>(
    `SELECT id::integer, version::integer, vector, stamps, price::float8, title, description, deleted
     FROM properties WHERE id = ANY ($1::bigint[]) ORDER BY id`,
    [ids],
  )
  return rows
}

async function readClaims(database: Database, requestIds: readonly string[]): Promise<Claims> {
  const { rows } = await database.query<{ request_id: string; acceptances: Acceptance[] }>(
    'SELECT request_id, acceptances FROM claims WHERE request_id = ANY ($1::text[])',
    [requestIds],
  )
  return new Map(rows.map(({ request_id, acceptances }) => [request_id, acceptances]))
}

async function readConflicts(database: Database, ids: readonly number[]): Promise<Conflicts> {
  const { rows } = await database.query<{ id: string; kind: string }>(
    `SELECT id, record->>'kind' AS kind FROM conflicts WHERE property_id = ANY ($1::bigint[])`,
    [ids],
  )
  return new Map(rows.map(({ id, kind }) => [id, kind]))
}
