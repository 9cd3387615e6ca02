import type pg from 'pg'
import { eventPrefix, type Route } from './message-prefix.ts'

/** A property's event, encoded, and where it belongs. */
export interface EncodedEvent extends Route {
  readonly text: string
}

/** Writes events to the WAL, in the transaction that is open. */
export async function emitEvents(client: pg.ClientBase, events: readonly EncodedEvent[]): Promise<void> {
  if (events.length === 0) return
  await client.query(
    'SELECT pg_logical_emit_message(true, prefix, event) FROM unnest($1::text[], $2::text[]) AS emitted (prefix, event)',
    [events.map(eventPrefix), events.map(({ text }) => text)],
  )
}
