import type pg from 'pg'

/** How much WAL a slot keeps, and how much more may be written before it is lost (null: no limit). Bytes. */
export interface SlotHealth {
  readonly retained_bytes: number
  readonly safe_bytes: number | null
}

/** undefined if there is no such slot. */
export async function readSlotHealth(
  database: pg.Pool | pg.ClientBase,
  slot: string,
): Promise<SlotHealth | undefined> {
  const { rows } = await database.query<SlotHealth>({
    name: 'read-slot-health',
    text: `
      SELECT coalesce(pg_current_wal_lsn() - restart_lsn, 0)::bigint AS retained_bytes,
        safe_wal_size AS safe_bytes
      FROM pg_replication_slots WHERE slot_name = $1`,
    values: [slot],
  })
  return rows[0]
}
