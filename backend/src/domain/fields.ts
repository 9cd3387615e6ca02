/**
 * The table of a property's mutable fields: the one place from which validation, SQL, events and merge derive.
 *
 * Invariant: fields of one merge group only make sense together, so they carry equal stamps in every state: a write
 * that changes one field of a group stamps all of them, and a merge takes all of them from the same side. A further
 * field is one entry here and one column in a migration; a property without it has its `absent` value, so that events
 * of an older release stay readable.
 */

import { z } from 'zod'

/** PostgreSQL stores neither U+0000 nor lone surrogates in text or jsonb, so both are refused before they reach it. */
const text = (maxLength: number) =>
  z
    .string()
    .max(maxLength)
    .refine((value) => value.isWellFormed() && !value.includes('\u0000'), {
      message: 'must be well-formed Unicode without U+0000',
    })

const multipleOf = (steps: number, message: string) =>
  [(value: number) => Math.round(value * steps) / steps === value, { message }] as const

/** Greatest price that numeric(14,2) holds; below 2^53 / 100, so every price is exact as a JSON number. */
const priceMax = 999_999_999_999.99

export const statuses = ['draft', 'active', 'pending', 'sold', 'withdrawn'] as const

interface FieldDefinition {
  /** Merge group; fields of one group win or lose together. */
  readonly group: string
  /** PostgreSQL column type; the column has the field's name. */
  readonly sqlType: string
  readonly schema: z.ZodType
  /** What a state from before the field has: the default of its column. Only the first fields need none. */
  readonly absent?: unknown
}

export const fieldTable = {
  price: {
    group: 'price',
    sqlType: 'numeric(14,2)',
    schema: z
      .number()
      .min(0)
      .max(priceMax)
      .refine(...multipleOf(100, 'must have at most two decimals')),
  },
  bedrooms: { group: 'bedrooms', sqlType: 'integer', schema: z.int().min(0).max(1000) },
  bathrooms: {
    group: 'bathrooms',
    sqlType: 'numeric(5,1)',
    schema: z
      .number()
      .min(0)
      .max(1000)
      .refine(...multipleOf(2, 'must be a multiple of 0.5')),
  },
  title: { group: 'title', sqlType: 'text', schema: text(200) },
  description: { group: 'description', sqlType: 'text', schema: text(10_000) },
  status: { group: 'status', sqlType: 'text', schema: z.enum(statuses) },
  /** The tombstone: nothing else of a property changes when it is deleted, and restoring it is an ordinary write. */
  deleted: { group: 'deleted', sqlType: 'boolean', schema: z.boolean(), absent: false },
} as const satisfies Record<string, FieldDefinition>

export type FieldName = keyof typeof fieldTable
export type Fields = { [F in FieldName]: z.infer<(typeof fieldTable)[F]['schema']> }

/** Field names in the order in which clients, SQL and events see them. */
export const fieldNames = Object.keys(fieldTable) as FieldName[]

/** The fields of each merge group, by group name. */
export const groups: ReadonlyMap<string, readonly FieldName[]> = Map.groupBy(
  fieldNames,
  (name) => fieldTable[name].group,
)

function inWholeState(name: FieldName): z.ZodType {
  const { schema, absent }: FieldDefinition = fieldTable[name]
  return absent === undefined ? schema : schema.default(absent)
}

/** Every mutable field: the shape of a whole property, in events and seeds, also of those that are older than a field. */
export const fieldsSchema = z.object(
  Object.fromEntries(fieldNames.map((name) => [name, inWholeState(name)])) as {
    [F in FieldName]: z.ZodType<Fields[F]>
  },
)

export const isFieldName = (name: string): name is FieldName => Object.hasOwn(fieldTable, name)
