import type pg from 'pg'
import { messagePrefix } from './message-prefix.ts'

/** Writes event texts to the WAL, in the transaction that is open. */
export async function emitEvents(client: pg.ClientBase, events: readonly string[]): Promise<void> {
  if (events.length === 0) return
  await client.query(
    `SELECT pg_logical_emit_message(true, '${messagePrefix}', event) FROM unnest($1::text[]) AS event`,
    [events],
  )
}
