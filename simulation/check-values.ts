/**
 * What became of each value that was accepted, at the end of a history.
 *
 * Invariant: a value is in place in a live property, was replaced or deleted by a write that had seen it, or is on record;
 * and what is on record was really lost to a write that had not seen it.
 */

import { conflictId } from '../backend/src/domain/conflict.ts'
import { groups } from '../backend/src/domain/fields.ts'
import { compareStamps, covers, type Stamp } from '../backend/src/domain/stamp.ts'
import type { AcceptedWrite, SimulatedDatabase } from './database.ts'
import type { World } from './world.ts'

/** One value that one accepted write has stamped. */
interface Stamped {
  readonly write: AcceptedWrite
  readonly group: string
  readonly stamp: Stamp
  readonly value: string
}

export function stampedValues(accepted: readonly AcceptedWrite[]): readonly Stamped[] {
  return accepted.flatMap((write) =>
    [...groups].flatMap(([group, members]): Stamped[] => {
      const stamp = write.after.stamps[members[0] as string]
      if (!stamp || stamp[2] !== write.acceptance.actor || stamp[3] !== write.acceptance.n) return []
      const value = JSON.stringify(members.map((name) => write.after.fields[name]))
      return [{ write, group, stamp, value }]
    }),
  )
}

const sameProperty = (a: Stamped, b: Stamped): boolean => a.write.request.id === b.write.request.id
const sameSlot = (a: Stamped, b: Stamped): boolean => sameProperty(a, b) && a.group === b.group
const sameDot = (a: Stamp | undefined, b: Stamp): boolean => a?.[2] === b[2] && a[3] === b[3]

const isDelete = ({ write, group }: Stamped): boolean => group === 'deleted' && write.after.fields.deleted
/** Whether a value of the other's group loses its place by this write: all of them do by a delete. */
const displaces = (one: Stamped, other: Stamped): boolean =>
  sameSlot(one, other) || (isDelete(one) && sameProperty(one, other))

/** The delete that a deleted property was deleted by in the end. */
function deletionOf(
  database: SimulatedDatabase,
  id: number,
  all: readonly Stamped[],
): AcceptedWrite | undefined {
  const row = database.properties.committed.get(id)
  if (!row?.fields.deleted) return undefined
  return all.find(
    (one) => isDelete(one) && one.write.request.id === id && sameDot(row.stamps['deleted'], one.stamp),
  )?.write
}

/**
 * Each value is in place, and not hidden by a delete that has not seen it; or was replaced by a write on a state that has
 * seen it; or is kept as a conflict record.
 */
export function checkValues(
  { observation }: World,
  database: SimulatedDatabase,
  all: readonly Stamped[],
): void {
  const safe = new Set<Stamped>()
  const isSafe = (one: Stamped): boolean => {
    if (safe.has(one)) return true
    const row = database.properties.committed.get(one.write.request.id)
    const deletion = deletionOf(database, one.write.request.id, all)
    const ok =
      (sameDot(row?.stamps[groups.get(one.group)?.[0] as string], one.stamp) &&
        (!row?.fields.deleted || (deletion && covers(deletion.after.vector, one.stamp)))) ||
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
    if (row && name && sameDot(row.stamps[name], one.stamp)) {
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
export function checkRecords(
  { observation }: World,
  database: SimulatedDatabase,
  all: readonly Stamped[],
): void {
  for (const record of database.conflicts.committed.values()) {
    if (record.group === 'request') continue
    const lost = all.find(
      (one) =>
        one.write.request.id === record.property_id &&
        one.group === record.group &&
        sameDot(record.stamp, one.stamp),
    )
    if (!lost) {
      observation.fail(`a record of what nobody has written: ${record.id}`)
      continue
    }
    if (JSON.stringify(Object.values(record.value)) !== lost.value)
      observation.fail(`a record of another value: ${record.id}`)
    const reason = all.some(
      (other) =>
        displaces(other, lost) &&
        !covers(other.write.before.vector, lost.stamp) &&
        (!sameSlot(lost, other) ||
          (compareStamps(other.stamp, lost.stamp) > 0 && other.value !== lost.value)),
    )
    if (!reason) observation.fail(`a record without a conflict: ${record.id}`)
  }
}

/** Twins are on record as what they are, and none undoes a write that has seen the other. */
export function checkTwins({ observation, plan, regions }: World, all: readonly Stamped[]): void {
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

/** With ETags the state that a client has seen is the state that it writes on, so there is nothing to count. */
export function countIntegerExceptions({ observation, plan }: World, all: readonly Stamped[]): number {
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
          displaces(one, other) && covers(one.write.before.vector, other.stamp) && !covers(seen, other.stamp),
      ),
    )
    if (!unseen) continue
    if (plan.guard === 'etag')
      observation.fail(`${request.requestId} supersedes what its client had not seen`)
    else count++
  }
  return count
}
