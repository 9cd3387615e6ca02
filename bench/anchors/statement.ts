/**
 * The backend's own write, as pgbench runs it: one statement and one commit for each.
 *
 * The text comes from the backend's module, so that it is the same write, and its parameters become pgbench's variables
 * here. pgbench can compute integers only: what a write changes are two constants, taken in turns, so that every write
 * changes the value. A write has no guard unless it asks for one: its client owns the property.
 */

import { refusalSql, writeSql } from '../../backend/src/postgres/write-property.ts'

/** Set by `-D`, see `constants`; `:id`, `:request` and `:version` are set by the scripts. */
const parameters = {
  1: ':id',
  2: ':request',
  3: ':fingerprint',
  4: ':actor',
  6: 'NULL',
  7: 'NULL',
  8: 'NULL',
} as const

const fingerprintLength = 43
let runs = 0

/** Values of the statement's constant variables, `-D` of pgbench. */
export function constants(actor: string): Readonly<Record<string, string>> {
  // Another price in every run: the first write of a run changes the value, too.
  const price = 200_000 + 2 * ++runs
  return {
    actor,
    fingerprint: 'x'.repeat(fingerprintLength),
    changes0: JSON.stringify({ price }),
    changes1: JSON.stringify({ price: price + 1 }),
  }
}

/** The write of `:changes0` or `:changes1`, guarded by `:version` if wanted. */
export function writeStatement(changes: 0 | 1, { guarded = false } = {}): string {
  return substitute(writeSql, {
    ...parameters,
    5: `:changes${changes}`,
    ...(guarded && { 6: ':version' }),
  })
}

/** What is asked after a refusal. */
export function refusalStatement(): string {
  return substitute(refusalSql, parameters)
}

/** Replaces `$1`, `$2`, … by other text; a parameter without one is an error. */
export function substitute(sql: string, by: Readonly<Record<number, string>>): string {
  return sql.trim().replaceAll(/\$(\d+)/g, (_, number: string) => {
    const text = by[Number(number)]
    if (text === undefined) throw new Error(`nothing stands for $${number}`)
    return text
  })
}
