/**
 * The body of `PUT /properties/{id}`, derived from the table of fields.
 *
 * Invariant: a body is taken as a whole or not at all, and a refusal names every member that is wrong, so a client
 * mends it in one go. A property that is sent back as it was read is valid. `deleted` can only be taken back here: a
 * deletion has a method of its own.
 */

import { z } from 'zod'
import { fieldNames, fieldTable, type FieldName, type Fields } from '../domain/fields.ts'
import type { Guard } from '../domain/write.ts'
import { refuse, type Checked, type MemberError } from './problems.ts'

/** More wrong members than this are not listed. */
const errorsMax = 20
/** Member names are cut at this length in an answer. */
const memberNameMax = 100
const etagLengthMax = 4096

const mutable = Object.fromEntries(
  fieldNames.map((name) => [name, fieldTable[name].schema.optional()]),
) as unknown as { [F in FieldName]: z.ZodOptional<(typeof fieldTable)[F]['schema']> }

export const propertyPutSchema = z.strictObject({
  ...mutable,
  deleted: z
    .literal(false, 'must be false: DELETE deletes')
    .optional()
    .describe('Restores a deleted property'),
  id: z.int().min(1).optional().describe('Must agree with the path'),
  version: z.int().min(1).optional().describe('Guard: the version that was read'),
  etag: z
    .string()
    .max(etagLengthMax)
    .regex(/^[\x20-\x7e]*$/, 'must be an etag as it was read')
    .optional()
    .describe('Guard: the etag that was read, exact in every region'),
  region_origin: z.string().optional().describe('Read-only, ignored'),
  updated_at: z.string().optional().describe('Read-only, ignored'),
})

export interface PropertyPut {
  readonly guard: Guard
  readonly changes: Partial<Fields>
}

/** The first thing that is wrong with each member. */
function memberErrors(issues: readonly z.core.$ZodIssue[]): readonly MemberError[] {
  const errors = new Map<string, string>()
  for (const issue of issues) {
    const unknown = issue.code === 'unrecognized_keys'
    for (const name of unknown ? issue.keys : [String(issue.path[0] ?? '')]) {
      const member = name.slice(0, memberNameMax)
      if (!errors.has(member)) errors.set(member, unknown ? 'Unknown member' : issue.message)
    }
  }
  return [...errors].map(([member, detail]) => ({ member, detail }))
}

function invalidBody(errors: readonly MemberError[]): Checked<never> {
  const listed = errors.slice(0, errorsMax)
  const names = listed.map(({ member }) => member).join(', ')
  const more = errors.length > listed.length ? ` and ${errors.length - listed.length} more` : ''
  return { problem: { code: 'invalid_body', detail: `Invalid: ${names}${more}.`, errors: listed } }
}

/** Checks a parsed body against the path's id. `ifMatch` is the guard that came as a header. */
export function parsePropertyPut(
  body: unknown,
  id: number,
  ifMatch: Guard['ifMatch'] | undefined,
): Checked<PropertyPut> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    return refuse('invalid_body', 'The body must be a JSON object.')
  }
  const parsed = propertyPutSchema.safeParse(body)
  const errors = parsed.success ? [] : [...memberErrors(parsed.error.issues)]
  if ('id' in body && body.id !== id && !errors.some(({ member }) => member === 'id')) {
    errors.push({ member: 'id', detail: 'Must agree with the id in the path' })
  }
  if (!parsed.success || errors.length > 0) return invalidBody(errors)

  const { version, etag } = parsed.data
  if (version === undefined && etag === undefined && ifMatch === undefined) {
    return refuse(
      'guard_required',
      'The body needs version or etag as read, or the request an If-Match header.',
    )
  }
  const changes = changesOf(parsed.data)
  if (Object.keys(changes).length === 0) {
    return refuse('nothing_to_change', `The body needs at least one of ${fieldNames.join(', ')}.`)
  }
  const guard = {
    ...(version !== undefined && { version }),
    ...(etag !== undefined && { etag }),
    ...(ifMatch !== undefined && { ifMatch }),
  }
  return { value: { guard, changes } }
}

/** The mutable members; -0 becomes 0, which no database column tells apart. */
function changesOf(data: z.infer<typeof propertyPutSchema>): Partial<Fields> {
  const present = fieldNames.filter((name) => data[name] !== undefined)
  return Object.fromEntries(present.map((name) => [name, data[name] === 0 ? 0 : data[name]]))
}
