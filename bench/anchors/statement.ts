/**
 * The backend's own write, as pgbench runs it: one statement and one commit for each.
 *
 * The text comes from the backend's module, so that it is the same write, and its parameters become pgbench's variables
 * here. A write has no guard unless it asks for one: its client owns the property.
 */

import { askedColumns, reasonsSql, statements } from '../../backend/src/postgres/write-batch.ts'

/** The record set of the statement for one write, which becomes a plain row: a client without JSON sends no JSON. */
const recordSet = /SELECT \* FROM jsonb_to_recordset\(\$1::jsonb\) AS record \([^]*?\)\s+LIMIT 1\b/

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
  const columns = askedColumns.split(/,\s+(?=[a-z])/).map((column) => {
    const [name = '', ...type] = column.split(' ')
    return `${values[name] ?? 'NULL'}::${type.join(' ')} AS ${name}`
  })
  const row = `SELECT ${columns.join(', ')}`
  if (!recordSet.test(statements.one.text)) throw new Error("the backend's statement looks different")
  return substitute(statements.one.text.replace(recordSet, row), { 2: ':actor' })
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
