/**
 * Deletes claims that no retry can need any more.
 *
 * Invariant: a claim stays for its retention *and* until every other region has merged what it belongs to, so that
 * each region can answer a retry with 422 for at least that long.
 */

import type pg from 'pg'

/** How long a request id is remembered at least, µs: 24 h. */
export const claimRetentionUs = 24 * 3600 * 1_000_000
/** Rows a statement deletes at most, so that it never holds up writers. */
export const pruneBatchMax = 1000
/** Distance from the oldest watermark, µs: longer than any write statement may take. */
const watermarkMarginUs = 60_000_000

/** The bound has to be stable (no `clock_timestamp`), and the keys an array: otherwise all of the table is read. */
export const pruneSql = `
DELETE FROM claims WHERE request_id = ANY (ARRAY(
  SELECT request_id FROM claims
  WHERE claimed_at < least($1::bigint - ${watermarkMarginUs},
    (extract(epoch FROM statement_timestamp()) * 1000000)::bigint - ${claimRetentionUs})
  ORDER BY claimed_at
  LIMIT ${pruneBatchMax}))`

/** Deletes up to 1,000 claims older than the retention and than `mergedEverywhereAt` (µs). Returns how many. */
export async function pruneClaims(database: pg.Pool, mergedEverywhereAt: number): Promise<number> {
  const { rowCount } = await database.query(pruneSql, [mergedEverywhereAt])
  return rowCount ?? 0
}
