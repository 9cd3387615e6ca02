/**
 * Unites claims with what is there.
 *
 * Invariant: claims are locked in the byte order of their request ids, after the rows, as everywhere.
 */

import type pg from 'pg'
import { joinAcceptances, type Claim } from '../domain/claim.ts'
import type { Encoded } from './encoded.ts'

const insertSql = `
INSERT INTO claims (request_id, acceptances)
SELECT request_id, acceptances
FROM jsonb_to_recordset($1::jsonb) AS incoming (request_id text, acceptances jsonb)
ORDER BY request_id COLLATE "C"
ON CONFLICT (request_id) DO NOTHING
RETURNING request_id`

const lockSql = `
SELECT request_id, acceptances FROM claims
WHERE request_id = ANY ($1::text[])
ORDER BY request_id COLLATE "C"
FOR UPDATE`

const updateSql = `
UPDATE claims SET acceptances = incoming.acceptances
FROM jsonb_to_recordset($1::jsonb) AS incoming (request_id text, acceptances jsonb)
WHERE claims.request_id = incoming.request_id`

/** At most one claim per request id. */
export const encodeClaims = (claims: readonly Claim[]): Encoded<Claim> => ({
  items: claims,
  json: JSON.stringify(claims),
})

/**
 * Returns, united, those of several acceptances that brought a new one: also a claim that is new here, since a batch
 * unites what two regions have accepted before the database is asked.
 */
export async function mergeClaims(
  client: pg.ClientBase,
  { items: claims, json }: Encoded<Claim>,
): Promise<readonly Claim[]> {
  if (claims.length === 0) return []
  const inserted = await client.query<{ request_id: string }>({
    name: 'insert-claims',
    text: insertSql,
    values: [json],
  })
  const fresh = new Set(inserted.rows.map((row) => row.request_id))
  const born = claims.filter(({ request_id, acceptances }) => fresh.has(request_id) && acceptances.length > 1)
  if (fresh.size === claims.length) return born
  const present = new Map(
    claims.filter((claim) => !fresh.has(claim.request_id)).map((c) => [c.request_id, c]),
  )
  const { rows: known } = await client.query<Claim>(lockSql, [[...present.keys()]])
  const grown = known.flatMap((claim) => {
    const acceptances = joinAcceptances(claim.acceptances, present.get(claim.request_id)?.acceptances ?? [])
    return acceptances.length > claim.acceptances.length ? [{ ...claim, acceptances }] : []
  })
  if (grown.length > 0) await client.query(updateSql, [JSON.stringify(grown)])
  return [...born, ...grown]
}

/** The claims of these request ids. */
export async function readClaims(
  client: pg.ClientBase,
  requestIds: readonly string[],
): Promise<ReadonlyMap<string, Claim>> {
  if (requestIds.length === 0) return new Map()
  const { rows } = await client.query<Claim>(
    'SELECT request_id, acceptances FROM claims WHERE request_id = ANY ($1::text[])',
    [requestIds],
  )
  return new Map(rows.map((claim) => [claim.request_id, claim]))
}
