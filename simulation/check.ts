/**
 * The verdict at the end of a history, when every watermark has passed everything.
 *
 * Invariant: nothing is taken from what the system says of itself but its rows, claims and conflict records; which
 * writes were accepted, on which state, and what their clients had seen is known from the simulation.
 */

import type { Claim } from '../backend/src/domain/claim.ts'
import type { ConflictRecord } from '../backend/src/domain/conflict.ts'
import { lagReport } from '../backend/src/domain/lag.ts'
import {
  checkRecords,
  checkTwins,
  checkValues,
  countIntegerExceptions,
  stampedValues,
} from './check-values.ts'
import type { SimulatedDatabase } from './database.ts'
import { canonicalState } from './observation.ts'
import type { World } from './world.ts'
import { encodeEtag } from '../backend/src/domain/etag.ts'

export interface EndReport {
  /** Values that a bare integer superseded though its client had not seen them: the known limit of integers. */
  readonly integerExceptions: number
  readonly twins: number
  readonly conflicts: number
  readonly deletes: number
  /** Writes that made a deleted property live again. */
  readonly restores: number
}

export function checkEnd(world: World): EndReport {
  checkEqual(world)
  const [first] = world.regions
  if (!first) throw new Error('a world without regions')
  const { database } = first
  checkAcknowledged(world, database)
  checkClaims(world, database)
  const { accepted } = world.observation
  const stamped = stampedValues(accepted)
  checkValues(world, database, stamped)
  checkRecords(world, database, stamped)
  checkTwins(world, stamped)
  checkQuarantine(world)
  const claims = [...database.claims.committed.values()]
  return {
    integerExceptions: countIntegerExceptions(world, stamped),
    twins: claims.filter(({ acceptances }) => acceptances.length > 1).length,
    conflicts: database.conflicts.committed.size,
    deletes: accepted.filter(({ after }) => after.fields.deleted).length,
    restores: accepted.filter(({ before }) => before.fields.deleted).length,
  }
}

const sorted = <V>(values: Iterable<V>, show: (value: V) => string): string =>
  [...values].map(show).toSorted().join('\n')
const showRow = (database: SimulatedDatabase): string =>
  sorted(
    database.properties.committed.values(),
    (state) => `${canonicalState(state)} ${encodeEtag(state.vector)}`,
  )
const showConflict = (record: ConflictRecord): string =>
  JSON.stringify([
    record.id,
    record.property_id,
    record.group,
    record.kind,
    record.value,
    record.stamp,
    record.resolution,
  ])
const showClaim = ({ request_id, acceptances }: Claim): string =>
  JSON.stringify([
    request_id,
    acceptances.map((each) => Object.entries(each).toSorted(([a], [b]) => (a < b ? -1 : 1))),
  ])

function checkEqual({ regions, observation }: World): void {
  const [first, ...others] = regions.map(({ database }) => database)
  if (!first) return
  const views: [string, (database: SimulatedDatabase) => string][] = [
    ['rows', showRow],
    ['conflict records', ({ conflicts }) => sorted(conflicts.committed.values(), showConflict)],
    ['claims', ({ claims }) => sorted(claims.committed.values(), showClaim)],
  ]
  for (const [what, show] of views) {
    const expected = show(first)
    for (const other of others) {
      const found = show(other)
      if (found === expected) continue
      observation.fail(
        `${what} differ at the end\n    ${first.region}:\n${indent(expected)}\n    ${other.region}:\n${indent(found)}`,
      )
    }
  }
}

const indent = (text: string): string => text.replaceAll(/^/gm, '      ')

/** Every acknowledged write was accepted as it was told, is in the vector, and is on record. */
function checkAcknowledged({ observation }: World, database: SimulatedDatabase): void {
  for (const { request, acceptance } of observation.acknowledged) {
    const { actor, n } = acceptance
    const name = `${request.requestId}, ${request.id} ${actor}:${n}`
    const really = observation.accepted.find(
      (write) =>
        write.acceptance.actor === actor && write.acceptance.n === n && write.request.id === request.id,
    )
    if (!really || really.request.requestId !== request.requestId)
      observation.fail(`acknowledged, never accepted: ${name}`)
    else if (really.acceptance.etag !== acceptance.etag)
      observation.fail(`acknowledged as another state: ${name}`)
    const row = database.properties.committed.get(request.id)
    if ((row?.vector[actor] ?? 0) < n) observation.fail(`acknowledged, not in the row: ${name}`)
    const claim = database.claims.committed.get(request.requestId)
    if (!claim?.acceptances.some((each) => each.actor === actor && each.n === n)) {
      observation.fail(`acknowledged, not on record: ${name}`)
    }
  }
}

/** Dots are used once, rows count exactly what was accepted, and an id is accepted once in a region. */
function checkClaims({ observation }: World, database: SimulatedDatabase): void {
  const dots = new Set<string>()
  const requests = new Set<string>()
  for (const { acceptance, request, region } of observation.accepted) {
    const dot = `${request.id} ${acceptance.actor}:${acceptance.n}`
    if (dots.has(dot)) observation.fail(`a dot is used twice: ${dot}`)
    dots.add(dot)
    const name = `${request.requestId} in ${region}`
    if (requests.has(name)) observation.fail(`accepted twice: ${name}`)
    requests.add(name)
  }
  const counted = [...database.properties.committed.values()]
    .filter(({ id }) => id < 90)
    .reduce((sum, { vector }) => sum + Object.values(vector).reduce((a, b) => a + b, 0), 0)
  if (counted !== observation.accepted.length) {
    observation.fail(`${observation.accepted.length} writes were accepted, the rows have ${counted}`)
  }
  const claimed = [...database.claims.committed.values()].reduce(
    (sum, claim) => sum + claim.acceptances.length,
    0,
  )
  if (claimed !== observation.accepted.length) {
    observation.fail(`${observation.accepted.length} writes were accepted, ${claimed} of them are on record`)
  }
}

/** What is no event, and nothing else, is in quarantine everywhere. */
function checkQuarantine({ observation, regions, plan }: World): void {
  const expected = plan.steps.filter(({ kind }) => kind === 'poison').length
  for (const { database } of regions) {
    const found = database.quarantine.committed.size
    if (found !== expected) {
      const reasons = [...database.quarantine.committed.values()].join('\n')
      observation.fail(
        `${database.region}: ${found} records in quarantine instead of ${expected}\n${indent(reasons)}`,
      )
    }
    if (database.gaps.committed.size > 0)
      observation.fail(`${database.region}: a gap is seen where there is none`)
  }
}

/** The greatest lag that any region tells, s; infinite while one does not know its own. */
export function greatestLag({ regions, plan }: World): number {
  return Math.max(
    ...regions.map(({ database }) => {
      const { sources, now } = database.readSources()
      return lagReport(database.region, plan.regions, sources, now).lag_seconds ?? Number.POSITIVE_INFINITY
    }),
  )
}
