/**
 * Events: what travels through Kafka, one JSON object per message.
 *
 * Invariant: a property event carries the whole state, so any event makes up for every lost or reordered one before
 * it; only conflict records and claims are limited to what its transaction added. Content that this schema refuses is
 * quarantined; a stamp is never refused for its time.
 */

import { z } from 'zod'
import { listOf } from './checks.ts'
import { isClaim, type Claim } from './claim.ts'
import { conflictSchema, type ConflictRecord } from './conflict.ts'
import { fieldNames, fieldsSchema, isFieldName, type Fields } from './fields.ts'
import type { PropertyState } from './property.ts'
import { actorLengthMax, actorPattern, areStamps, isVector, type Stamp, type Vector } from './stamp.ts'

const actorSchema = z.string().max(actorLengthMax).regex(actorPattern)
const decimalSchema = z.string().regex(/^\d{1,20}$/)
const lsnSchema = z.string().regex(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/)

/** How far an actor's writes are merged: its newest heartbeat that all partitions have passed. */
const markSchema = z.object({ lsn: lsnSchema, xmin: decimalSchema, t: z.int().min(0) })
export type Mark = z.infer<typeof markSchema>

const propertyEventSchema = z.object({
  schema: z.literal(1),
  type: z.literal('property'),
  actor: actorSchema,
  property: z.looseObject({
    id: z.int().min(1),
    region_origin: z.string().max(40),
    ...fieldsSchema.shape,
  }),
  vector: z.custom<Vector>(isVector, 'is no version vector'),
  stamps: z.custom<Record<string, Stamp>>(areStamps, 'are no stamps'),
  conflicts: z.array(conflictSchema),
  claims: z.custom<Claim[]>(listOf(isClaim), 'are no claims'),
})

const heartbeatSchema = z.object({
  schema: z.literal(1),
  type: z.literal('heartbeat'),
  actor: actorSchema,
  /** Commit LSN of the heartbeat; set by the relay. */
  lsn: lsnSchema,
  /** Every transaction id below it had ended when the heartbeat's statement began. */
  xmin: decimalSchema,
  /** µs since the epoch, on the actor's database clock. */
  t: z.int().min(0),
  /** The relay's run, and where the WAL ended when it began: `id@LSN`. */
  run: z.string().regex(/^[0-9a-z]{1,40}@[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/),
  /** Number of partitions that carry this heartbeat. */
  partitions: z.int().min(1),
  /** Start of the slot's lineage: a new value means that events may lie in a gap before it. */
  since: z.string().max(100),
  /** The actor's own watermarks of others. */
  applied: z.record(actorSchema, markSchema),
})

const eventSchema = z.discriminatedUnion('type', [propertyEventSchema, heartbeatSchema])

export interface PropertyEvent {
  readonly type: 'property'
  readonly actor: string
  readonly state: PropertyState
  readonly conflicts: readonly ConflictRecord[]
  readonly claims: readonly Claim[]
}

export type Heartbeat = z.infer<typeof heartbeatSchema>
export type MeridianEvent = PropertyEvent | Heartbeat

/** @throws {z.ZodError | SyntaxError} if the text is no event of a known schema. */
export function parseEvent(text: string): MeridianEvent {
  const event = eventSchema.parse(JSON.parse(text))
  if (event.type === 'heartbeat') return event
  const { actor, property, vector, stamps, conflicts, claims } = event
  const { id, region_origin } = property
  const state = { id, region_origin, fields: fieldsOf(property), vector, stamps, extra: extraOf(property) }
  return { type: 'property', actor, state, conflicts, claims }
}

type Members = Readonly<Record<string, unknown>>

function fieldsOf(members: Members): Fields {
  const fields: Record<string, unknown> = {}
  for (const name of fieldNames) fields[name] = members[name]
  return fields as Fields
}

const isExtra = (name: string): boolean => name !== 'id' && name !== 'region_origin' && !isFieldName(name)

function extraOf(members: Members): Members {
  const names = Object.keys(members).filter(isExtra)
  return Object.fromEntries(names.map((name) => [name, members[name]]))
}

/** The JSON text of a property event, as the write statement builds it in SQL. */
export function encodePropertyEvent(event: Omit<PropertyEvent, 'type'>): string {
  const { id, region_origin, fields, vector, stamps, extra } = event.state
  return JSON.stringify({
    schema: 1,
    type: 'property',
    actor: event.actor,
    property: { ...extra, id, region_origin, ...fields },
    vector,
    stamps,
    conflicts: event.conflicts,
    claims: event.claims,
  })
}
