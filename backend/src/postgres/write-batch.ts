/**
 * A batch of client writes as one statement: guards, claims, rows and events commit together or not at all, and each
 * write has an outcome of its own.
 *
 * Invariant: the order of the steps. The rows are locked where their guards hold, re-checked on the newest version
 * (READ COMMITTED, chapter 13.2.1); only from a locked row is its request id claimed; only a won claim updates the
 * row; and the event is emitted by the UPDATE's RETURNING list, so it exists exactly if the update does. Claiming
 * beside the update instead applied one request id 20 times; emitting in a CTE that nothing reads never happened.
 * Rows are locked in the order of their ids, then claims in that of their request ids, as everywhere: so batches
 * never deadlock, neither with each other nor with a merge.
 *
 * `decideWrite` in the domain is the same decision; `write-batch.pg.test.ts` holds the two equal.
 */

import type pg from 'pg'
import type { Acceptance } from '../domain/claim.ts'
import { decodeEtag } from '../domain/etag.ts'
import { fieldNames, fieldTable } from '../domain/fields.ts'
import { viewOf, type PropertyView } from '../domain/property.ts'
import { refusalOf, writesPerBatchMax, type RefusedOutcome, type WriteRequest } from '../domain/write.ts'
import {
  acceptedStatusSql,
  assignments,
  eventProperty,
  newStamps,
  stateColumns,
  stateOf,
  takesWrite,
  type StateRow,
} from './columns.ts'
import { eventPrefixSql } from './message-prefix.ts'

/** What is asked for, as columns with their types: NULL where a guard or a change is not asked for. */
const askedColumns: readonly (readonly [name: string, type: string])[] = [
  ['id', 'bigint'],
  ['request_id', 'text'],
  ['fingerprint', 'text'],
  ['version', 'bigint'],
  ['etag', 'jsonb'],
  ['if_match', 'jsonb'],
  ...fieldNames.map((name) => [name, fieldTable[name].sqlType] as const),
]

/** One write as a row of the given values. */
export const askedRow = (valueOf: (name: string, index: number) => string): string =>
  `SELECT ${askedColumns.map(([name, type], index) => `${valueOf(name, index)}::${type} AS ${name}`).join(', ')}`

/** The LIMIT changes nothing but the planner's estimate, so that it reaches the rows by their primary key. */
const askedRows = `SELECT * FROM jsonb_to_recordset($2::jsonb) AS record (
        ${askedColumns.map((column) => column.join(' ')).join(', ')})
      LIMIT ${writesPerBatchMax}`

/**
 * `asked` yields the writes. In the WHERE of the UPDATE, `coalesce` keeps the subquery from becoming a join, which would
 * compare each write with each claim.
 */
export const writeSql = (asked: string, lockedByOthers: 'SKIP LOCKED' | ''): string => `
WITH target AS MATERIALIZED (
  SELECT asked.*, n, p.version + 1 AS version_after, p.vector || jsonb_build_object($1::text, n) AS vector_after,
    (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS t
  FROM (
      ${asked}
    ) AS asked
    JOIN properties AS p USING (id)
    CROSS JOIN LATERAL (SELECT coalesce((p.vector->>$1::text)::bigint, 0) + 1 AS n) AS dot
  WHERE ${takesWrite}
    AND (asked.version IS NULL OR asked.version = p.version)
    AND (asked.etag IS NULL OR asked.etag = p.vector)
    AND (asked.if_match IS NULL OR p.vector IN (SELECT jsonb_array_elements(asked.if_match)))
  ORDER BY p.id
  FOR UPDATE OF p ${lockedByOthers}
), acceptable AS MATERIALIZED (
  SELECT target.*, jsonb_build_array(jsonb_build_object(
      'property', id, 'actor', $1::text, 'n', n, 'fingerprint', fingerprint,
      'status', ${acceptedStatusSql}, 'version', version_after,
      'etag', (
        SELECT '"' || string_agg(key || ':' || value, ';' ORDER BY key COLLATE "C") || '"'
        FROM jsonb_each_text(vector_after)
      ),
      'xid', pg_current_xact_id()::text, 't', t
    )) AS acceptances
  FROM target
), claim AS (
  INSERT INTO claims (request_id, acceptances, claimed_at)
  SELECT request_id, acceptances, t
  FROM acceptable
  ORDER BY request_id COLLATE "C"
  ON CONFLICT (request_id) DO NOTHING
  RETURNING request_id
)
UPDATE properties AS p
SET ${assignments},
      version = asked.version_after,
      vector = asked.vector_after,
      stamps = p.stamps || jsonb_strip_nulls(jsonb_build_object(${newStamps}))
FROM acceptable AS asked
WHERE p.id = asked.id AND coalesce(asked.request_id IN (SELECT request_id FROM claim), false)
RETURNING ${stateColumns('p')},
  pg_logical_emit_message(true, ${eventPrefixSql('$1::text', 'p.id')}, json_build_object(
    'schema', 1, 'type', 'property', 'actor', $1::text,
    'property', ${eventProperty('p')},
    'vector', p.vector, 'stamps', p.stamps, 'conflicts', '[]'::json,
    'claims', json_build_array(json_build_object('request_id', asked.request_id, 'acceptances', asked.acceptances))
  )::text) AS lsn`

/** For one write, which waits for its row. */
const writeOne = {
  name: 'write-one',
  text: writeSql(
    askedRow((_, index) => `$${index + 2}`),
    '',
  ),
}
/** For several, which leaves out rows that others hold. */
const writeSeveral = { name: 'write-several', text: writeSql(askedRows, 'SKIP LOCKED') }

export const reasonsSql = `
SELECT claims.acceptances, ${stateColumns('p')}
FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS asked (wanted_id, request_id, ordinal)
LEFT JOIN claims ON claims.request_id = asked.request_id
LEFT JOIN properties AS p ON p.id = asked.wanted_id
ORDER BY ordinal`

/** An ETag that this service never issued equals no vector. */
const vectorOf = (etag: string): unknown => decodeEtag(etag) ?? false

/** What is asked for, by column; members that are missing are NULL. */
const asked = ({ id, requestId, fingerprint, guard, changes }: WriteRequest): Record<string, unknown> => ({
  id,
  request_id: requestId,
  fingerprint,
  version: guard.version,
  etag: guard.etag === undefined ? undefined : vectorOf(guard.etag),
  if_match: Array.isArray(guard.ifMatch) ? guard.ifMatch.map(vectorOf) : undefined,
  ...changes,
})

/** The parameters of one write. An array would become one of PostgreSQL's instead of JSON. */
function askedValues(request: WriteRequest): unknown[] {
  const values = asked(request)
  return askedColumns.map(([name, type]) =>
    type === 'jsonb' && values[name] !== undefined ? JSON.stringify(values[name]) : values[name],
  )
}

/**
 * Accepts those writes of a batch that can be, in which every property and every request id occurs once, and returns
 * the properties that they leave, by id. A batch of one waits for its row; several leave out rows that others hold.
 *
 * @throws if the database is unreachable or too slow; the writes may then have been accepted. The clients' retries with
 *   the same request ids find out.
 */
export async function writeBatch(
  database: pg.Pool | pg.ClientBase,
  actor: string,
  requests: readonly WriteRequest[],
): Promise<ReadonlyMap<number, PropertyView>> {
  const [first] = requests
  const { rows } = await database.query<StateRow>(
    first && requests.length === 1
      ? { ...writeOne, values: [actor, ...askedValues(first)] }
      : { ...writeSeveral, values: [actor, JSON.stringify(requests.map(asked))] },
  )
  return new Map(rows.map((row) => [row.id, viewOf(stateOf(row))]))
}

type ReasonRow = { acceptances: Acceptance[] | null; id: number | null } & StateRow

/**
 * Why each of these writes has no effect, as of now; undefined if nothing speaks against it any more.
 *
 * @throws if the database is unreachable or too slow.
 */
export async function explainRefusals(
  database: pg.Pool | pg.ClientBase,
  requests: readonly WriteRequest[],
): Promise<readonly (RefusedOutcome | undefined)[]> {
  const { rows } = await database.query<ReasonRow>({
    name: 'explain-refusals',
    text: reasonsSql,
    values: [requests.map(({ id }) => id), requests.map(({ requestId }) => requestId)],
  })
  return requests.map((request, index) => explain(request, rows[index] as ReasonRow))
}

/** In the order of the contract: 422, 404, 412, 409. */
function explain(request: WriteRequest, row: ReasonRow): RefusedOutcome | undefined {
  const same = row.acceptances?.find((acceptance) => acceptance.fingerprint === request.fingerprint)
  if (same) return { kind: 'duplicate_request', original: same }
  const first = row.acceptances?.[0]
  if (first) return { kind: 'request_id_reused', original: first }
  if (row.id === null) return { kind: 'not_found' }
  const state = stateOf(row)
  const kind = refusalOf(state, request)
  return kind && { kind, current: viewOf(state) }
}
