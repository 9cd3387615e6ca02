/**
 * The backend's own write, as pgbench runs it: one statement and one commit for each.
 *
 * The text comes from the backend's module, so that it is the same write, with pgbench's variables for parameters. A
 * write has no guard unless it asks for one: its client owns the property.
 */

import { askedRow, reasonsSql, writeSql } from '../../backend/src/postgres/write-batch.ts'

/** Set by `-D`, see `constants`, and by the scripts. */
const asked = { id: ':id', request_id: ':request', fingerprint: ':fingerprint', price: ':price' } as const

const fingerprintLength = 43

/** Values of the statement's constant variables, `-D` of pgbench. */
export function constants(actor: string): Readonly<Record<string, string>> {
  return { actor, fingerprint: 'x'.repeat(fingerprintLength) }
}

/** The write of a price, guarded by `:version` if wanted. */
export function writeStatement({ guarded = false } = {}): string {
  const values: Readonly<Record<string, string>> = { ...asked, ...(guarded && { version: ':version' }) }
  const row = askedRow((name) => values[name] ?? 'NULL')
  return substitute(writeSql(row, ''), { 1: ':actor' })
}

/** What is asked after a refusal. */
export function refusalStatement(): string {
  return substitute(reasonsSql, { 1: 'ARRAY[:id]', 2: 'ARRAY[:request]' })
}

/** Replaces `$1`, `$2`, … by other text; a parameter without one is an error. */
export function substitute(sql: string, by: Readonly<Record<number, string>>): string {
  return sql.trim().replaceAll(/\$(\d+)/g, (_, number: string) => {
    const text = by[Number(number)]
    if (text === undefined) throw new Error(`nothing stands for $${number}`)
    return text
  })
}
