/**
 * The verdict at the end of a history, when every watermark has passed everything.
 *
 * Invariant: nothing is taken from what the system says of itself but its rows, claims and conflict records; which
 * writes were accepted, on which state, and what their clients had seen is known from the simulation.
 */

import type { Claim } from '../backend/src/domain/claim.ts'
import { conflictId, type ConflictRecord } from '../backend/src/domain/conflict.ts'
import { groups } from '../backend/src/domain/fields.ts'
import { lagReport } from '../backend/src/domain/lag.ts'
import { compareStamps, covers, type Stamp } from '../backend/src/domain/stamp.ts'
import type { AcceptedWrite, SimulatedDatabase } from './database.ts'
import { canonicalState } from './observation.ts'
import type { World } from './world.ts'
import { encodeEtag } from '../backend/src/domain/etag.ts'

export interface EndReport {
  /** Values that a bare integer superseded though its client had not seen them: the known limit of integers. */
  readonly integerExceptions: number
  readonly twins: number
  readonly conflicts: number
}

/** One value that one accepted write has stamped. */
interface Stamped {
  readonly write: AcceptedWrite
  readonly group: string
  readonly stamp: Stamp
  readonly value: string
}

export function checkEnd(world: World): EndReport {
  checkEqual(world)
  const [first] = world.regions
  if (!first) throw new Error('a world without regions')
  const { database } = first
  checkAcknowledged(world, database)
  checkClaims(world, database)
  const stamped = stampedValues(world.observation.accepted)
  checkValues(world, database, stamped)
  checkRecords(world, database, stamped)
  checkTwins(world, stamped)
  checkQuarantine(world)
  const claims = [...database.claims.committed.values()]
  return {
    integerExceptions: countIntegerExceptions(world, stamped),
    twins: claims.filter(({ acceptances }) => acceptances.length > 1).length,
    conflicts: database.conflicts.committed.size,
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

function stampedValues(accepted: readonly AcceptedWrite[]): readonly Stamped[] {
  return accepted.flatMap((write) =>
    [...groups].flatMap(([group, members]): Stamped[] => {
      const stamp = write.after.stamps[members[0] as string]
      if (!stamp || stamp[2] !== write.acceptance.actor || stamp[3] !== write.acceptance.n) return []
      const value = JSON.stringify(members.map((name) => write.after.fields[name]))
      return [{ write, group, stamp, value }]
    }),
  )
}

const sameSlot = (a: Stamped, b: Stamped): boolean =>
  a.write.request.id === b.write.request.id && a.group === b.group

/** Each value is in place, or was replaced by a write on a state that has seen it, or is kept as a conflict record. */
function checkValues({ observation }: World, database: SimulatedDatabase, all: readonly Stamped[]): void {
  const safe = new Set<Stamped>()
  const isSafe = (one: Stamped): boolean => {
    if (safe.has(one)) return true
    const row = database.properties.committed.get(one.write.request.id)
    const now = row?.stamps[groups.get(one.group)?.[0] as string]
    const ok =
      (now && now[2] === one.stamp[2] && now[3] === one.stamp[3]) ||
      database.conflicts.committed.has(conflictId(one.write.request.id, one.group, one.stamp)) ||
      all.some(
        (other) => sameSlot(one, other) && other !== one && covers(other.write.before.vector, one.stamp),
      ) ||
      // Two writes of one value: nothing is lost as long as one of them is safe.
      all.some(
        (other) =>
          sameSlot(one, other) &&
          other.value === one.value &&
          compareStamps(other.stamp, one.stamp) > 0 &&
          isSafe(other),
      )
    if (ok) safe.add(one)
    return ok
  }
  for (const one of all) {
    const { request, acceptance } = one.write
    if (!isSafe(one))
      observation.fail(
        `lost in silence: ${one.group} of ${request.requestId} (${acceptance.actor}:${acceptance.n})`,
      )
    const row = database.properties.committed.get(request.id)
    const [name] = groups.get(one.group) ?? []
    const now = name && row?.stamps[name]
    if (now && name && now[2] === one.stamp[2] && now[3] === one.stamp[3]) {
      if (JSON.stringify([row.fields[name]]) !== one.value)
        observation.fail(`the stamp of ${request.requestId} has another value`)
    }
    // A write beats what it has seen, under any clocks.
    for (const seen of all) {
      if (
        sameSlot(one, seen) &&
        covers(one.write.before.vector, seen.stamp) &&
        compareStamps(one.stamp, seen.stamp) <= 0
      ) {
        observation.fail(
          `${request.requestId} does not beat ${seen.write.request.requestId}, which it has seen`,
        )
      }
    }
  }
}

/** A record is of a value that was really lost to a write that had not seen it, as it was written. */
function checkRecords({ observation }: World, database: SimulatedDatabase, all: readonly Stamped[]): void {
  for (const record of database.conflicts.committed.values()) {
    if (record.group === 'request') continue
    const lost = all.find(
      (one) =>
        one.write.request.id === record.property_id &&
        one.group === record.group &&
        one.stamp[2] === record.stamp[2] &&
        one.stamp[3] === record.stamp[3],
    )
    if (!lost) {
      observation.fail(`a record of what nobody has written: ${record.id}`)
      continue
    }
    if (JSON.stringify(Object.values(record.value)) !== lost.value)
      observation.fail(`a record of another value: ${record.id}`)
    const reason = all.some(
      (other) =>
        sameSlot(lost, other) &&
        compareStamps(other.stamp, lost.stamp) > 0 &&
        other.value !== lost.value &&
        !covers(other.write.before.vector, lost.stamp),
    )
    if (!reason) observation.fail(`a record without a conflict: ${record.id}`)
  }
}

/** Twins are on record as what they are, and none undoes a write that has seen the other. */
function checkTwins({ observation, plan, regions }: World, all: readonly Stamped[]): void {
  const database = regions[0]?.database as SimulatedDatabase
  for (const claim of database.claims.committed.values()) {
    const [, ...later] = claim.acceptances
    for (const { property, actor, n, fingerprint } of later) {
      const record = database.conflicts.committed.get(`${property}/request/${actor}/${n}`)
      const expected = claim.acceptances.every((each) => each.fingerprint === fingerprint)
        ? 'duplicate'
        : 'request_id_reused'
      if (record?.kind !== expected)
        observation.fail(`a twin of ${claim.request_id} is recorded as ${record?.kind}`)
    }
    if (later.length === 0 || plan.guard !== 'etag') continue
    const twins = all.filter(({ write }) => write.request.requestId === claim.request_id)
    for (const twin of twins) {
      const others = twins.filter((other) => other !== twin && sameSlot(other, twin))
      const undone = all.find(
        (write) =>
          sameSlot(write, twin) &&
          others.some((other) => covers(write.write.before.vector, other.stamp)) &&
          !covers(write.write.before.vector, twin.stamp) &&
          compareStamps(write.stamp, twin.stamp) < 0,
      )
      if (undone)
        observation.fail(`${claim.request_id} takes effect again, on ${undone.write.request.requestId}`)
    }
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

/** With ETags the state that a client has seen is the state that it writes on, so there is nothing to count. */
function countIntegerExceptions({ observation, plan }: World, all: readonly Stamped[]): number {
  let count = 0
  for (const { request, acceptance, seen } of observation.acknowledged) {
    const own = all.filter(
      ({ write }) =>
        write.request.id === request.id &&
        write.acceptance.actor === acceptance.actor &&
        write.acceptance.n === acceptance.n,
    )
    const unseen = own.some((one) =>
      all.some(
        (other) =>
          sameSlot(one, other) && covers(one.write.before.vector, other.stamp) && !covers(seen, other.stamp),
      ),
    )
    if (!unseen) continue
    if (plan.guard === 'etag')
      observation.fail(`${request.requestId} supersedes what its client had not seen`)
    else count++
  }
  return count
}
