/**
 * SQL fragments that derive from the table of fields, and the one mapping from a row to a property's state.
 *
 * Invariant: no other file names a mutable column.
 */

import { fieldNames, fieldTable, groups, type FieldName, type Fields } from '../domain/fields.ts'
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

const changed = (name: FieldName): string => {
  const value = `($5::jsonb->>'${name}')::${fieldTable[name].sqlType}`
  return `($5::jsonb ? '${name}' AND ${value} IS DISTINCT FROM target.${name})`
}

/** The right side of each `column = …` of a write: $5 holds the changed members as jsonb. */
export const assignments: string = fieldNames
  .map(
    (name) =>
      `${name} = CASE WHEN $5::jsonb ? '${name}' THEN ($5::jsonb->>'${name}')::${fieldTable[name].sqlType} ELSE target.${name} END`,
  )
  .join(',\n      ')

/** The stamps after a write: those of every field of a group in which a value changes are new. */
export const newStamps: string = [
  'target.stamps',
  ...[...groups.values()].map((members) => {
    const stamps = members.map(
      (name) =>
        `'${name}', jsonb_build_array(coalesce((target.stamps->'${name}'->>0)::bigint, 0) + 1, target.t, $4::text, target.n, $2::text)`,
    )
    return `CASE WHEN ${members.map(changed).join(' OR ')} THEN jsonb_build_object(${stamps.join(', ')}) ELSE '{}' END`
  }),
].join('\n        || ')

/** Whether a row takes the write of the members in $5: a deleted one takes none but one that restores it. */
export const takesWrite = `(NOT deleted OR $5::jsonb->'deleted' = 'false')`

/** `acceptedStatus` of the members in $5. */
export const acceptedStatusSql = `CASE WHEN $5::jsonb->'deleted' = 'true' THEN 204 ELSE 200 END`

/** `property` of an event, from a table alias, members in the order of the HTTP contract. */
export const eventProperty = (alias: string): string =>
  `(json_build_object('id', ${alias}.id, 'region_origin', ${alias}.region_origin, ${fieldNames
    .map((name) => `'${name}', ${alias}.${name}`)
    .join(', ')})::jsonb || ${alias}.extra)`
