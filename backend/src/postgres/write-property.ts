/**
 * One client write as one statement: guard, claim, row and event commit together or not at all.
 *
 * Invariant: the order of the steps. The row is locked where its guard holds, re-checked on the newest version
 * (READ COMMITTED, chapter 13.2.1); only from that locked row is the request id claimed; only a won claim updates the
 * row; and the event is emitted by the UPDATE's RETURNING list, so it exists exactly if the update does. Claiming
 * beside the update instead applied one request id 20 times; emitting in a CTE that nothing reads never happened.
 *
 * `decideWrite` in the domain is the same decision; `write-property.pg.test.ts` holds the two equal.
 */

import type pg from 'pg'
import type { Acceptance } from '../domain/claim.ts'
import { decodeEtag } from '../domain/etag.ts'
import { viewOf } from '../domain/property.ts'
import { refusalOf, type Guard, type WriteOutcome, type WriteRequest } from '../domain/write.ts'
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
import { messagePrefix } from './message-prefix.ts'

/** Also what the benchmark gives to pgbench. */
export const writeSql = `
WITH target AS MATERIALIZED (
  SELECT ${stateColumns()},
    coalesce((vector->>$4::text)::bigint, 0) + 1 AS n,
    (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS t
  FROM properties
  WHERE id = $1::bigint
    AND ${takesWrite}
    AND ($6::bigint IS NULL OR version = $6)
    AND ($7::jsonb IS NULL OR vector = $7)
    AND ($8::jsonb[] IS NULL OR vector = ANY ($8))
  FOR UPDATE
), claim AS (
  INSERT INTO claims (request_id, acceptances, claimed_at)
  SELECT $2::text, jsonb_build_array(jsonb_build_object(
      'property', id, 'actor', $4::text, 'n', n, 'fingerprint', $3::text,
      'status', ${acceptedStatusSql}, 'version', version + 1,
      'etag', (
        SELECT '"' || string_agg(key || ':' || value, ';' ORDER BY key COLLATE "C") || '"'
        FROM jsonb_each_text(vector || jsonb_build_object($4::text, n))
      ),
      'xid', pg_current_xact_id()::text, 't', t
    )), t
  FROM target
  ON CONFLICT (request_id) DO NOTHING
  RETURNING request_id, acceptances
)
UPDATE properties AS p
SET ${assignments},
      version = target.version + 1,
      vector = target.vector || jsonb_build_object($4::text, target.n),
      stamps = ${newStamps}
FROM target CROSS JOIN claim
WHERE p.id = target.id
RETURNING ${stateColumns('p')},
  pg_logical_emit_message(true, '${messagePrefix}', json_build_object(
    'schema', 1, 'type', 'property', 'actor', $4::text,
    'property', ${eventProperty('p')},
    'vector', p.vector, 'stamps', p.stamps, 'conflicts', '[]'::json,
    'claims', json_build_array(json_build_object('request_id', claim.request_id, 'acceptances', claim.acceptances))
  )::text) AS lsn`

export const refusalSql = `
SELECT (SELECT acceptances FROM claims WHERE request_id = $2::text) AS acceptances, p.*
FROM (VALUES ($1::bigint)) AS wanted (wanted_id)
LEFT JOIN properties AS p ON p.id = wanted.wanted_id`

/** An ETag that this service never issued equals no vector. */
const vectorParameter = (etag: string): string => JSON.stringify(decodeEtag(etag) ?? null)

function guardParameters({ version, etag, ifMatch }: Guard): [number | null, string | null, string[] | null] {
  return [
    version ?? null,
    etag === undefined ? null : vectorParameter(etag),
    ifMatch === undefined || ifMatch === '*' ? null : ifMatch.map(vectorParameter),
  ]
}

/**
 * Accepts or refuses one write.
 *
 * @throws if the database is unreachable or too slow; the write may then have been accepted, and the client's retry
 *   with the same request id finds out.
 */
export async function writeProperty(
  database: pg.Pool | pg.ClientBase,
  actor: string,
  request: WriteRequest,
): Promise<WriteOutcome> {
  const { id, requestId, fingerprint, guard, changes } = request
  const { rows } = await database.query<StateRow>({
    name: 'write-property',
    text: writeSql,
    values: [id, requestId, fingerprint, actor, JSON.stringify(changes), ...guardParameters(guard)],
  })
  if (rows[0]) return { kind: 'accepted', property: viewOf(stateOf(rows[0])) }
  return explainRefusal(database, request)
}

/** Why no row came back, in the order of the contract: 422, 404, 412, 409. */
async function explainRefusal(
  database: pg.Pool | pg.ClientBase,
  request: WriteRequest,
): Promise<WriteOutcome> {
  const { id, requestId, fingerprint } = request
  const { rows } = await database.query<{ acceptances: Acceptance[] | null; id: number | null } & StateRow>({
    name: 'explain-refusal',
    text: refusalSql,
    values: [id, requestId],
  })
  const row = rows[0]
  const same = row?.acceptances?.find((acceptance) => acceptance.fingerprint === fingerprint)
  if (same) return { kind: 'duplicate_request', original: same }
  const first = row?.acceptances?.[0]
  if (first) return { kind: 'request_id_reused', original: first }
  if (!row || row.id === null) return { kind: 'not_found' }
  const state = stateOf(row)
  // A guard that holds by now did not hold when the row was locked: the write was refused for a stale version.
  return { kind: refusalOf(state, request) ?? 'version_conflict', current: viewOf(state) }
}
