/**
 * SQL fragments that derive from the table of fields, and the one mapping from a row to a property's state.
 *
 * Invariant: no other file names a mutable column.
 */

import { fieldNames, fieldTable, groups, type Fields } from '../domain/fields.ts'
import type { PropertyState } from '../domain/property.ts'
import type { Stamp, Vector } from '../domain/stamp.ts'

/** Every column of a property's state, in a fixed order, optionally of a table alias. */
export const stateColumns = (alias?: string): string =>
  ['id', 'region_origin', ...fieldNames, 'version', 'vector', 'stamps', 'extra']
    .map((name) => (alias ? `${alias}.${name}` : name))
    .join(', ')

export type StateRow = {
  id: number
  region_origin: string
  version: number
  vector: Vector
  stamps: Record<string, Stamp>
  extra: Record<string, unknown>
} & Fields

export function stateOf(row: StateRow): PropertyState {
  const fields = Object.fromEntries(fieldNames.map((name) => [name, row[name]])) as Fields
  const { id, region_origin, vector, stamps, extra } = row
  return { id, region_origin, fields, vector, stamps, extra }
}

/** The mutable fields with their types, as columns of a record set. */
export const fieldColumns: string = fieldNames.map((name) => `${name} ${fieldTable[name].sqlType}`).join(', ')

// In a write, `p` is the row as it was and `asked` holds the asked values, where NULL means: not asked for. No field is
// nullable.

/** The right side of each `column = …` of a write. */
export const assignments: string = fieldNames
  .map((name) => `${name} = coalesce(asked.${name}, p.${name})`)
  .join(',\n      ')

/** Names and values of the stamps that a write makes: of every field of a group in which a value changes, else NULL. */
export const newStamps: string = [...groups.values()]
  .flatMap((members) => {
    const changes = members.map((name) => `asked.${name} <> p.${name}`).join(' OR ')
    return members.map(
      (name) => `'${name}', CASE WHEN ${changes} THEN jsonb_build_array(
        coalesce((p.stamps->'${name}'->>0)::bigint, 0) + 1, asked.t, $1::text, asked.n, asked.request_id) END`,
    )
  })
  .join(',\n      ')

/** Whether a row takes a write: a deleted one takes none but one that restores it. */
export const takesWrite = '(NOT p.deleted OR NOT asked.deleted)'

/** `acceptedStatus`, from the columns of what is asked. */
export const acceptedStatusSql = 'CASE WHEN deleted THEN 204 ELSE 200 END'

/** `property` of an event, from a table alias; fields come after what else is known, which they overrule. */
export const eventProperty = (alias: string): string =>
  `(${alias}.extra || json_build_object('id', ${alias}.id, 'region_origin', ${alias}.region_origin, ${fieldNames
    .map((name) => `'${name}', ${alias}.${name}`)
    .join(', ')})::jsonb)`
