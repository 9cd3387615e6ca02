/**
 * The statement of client writes, as a simulated database executes it: the decisions are `decideWrite`'s, the order of
 * locks that of the statement.
 */

import type { Acceptance, Claim } from '../backend/src/domain/claim.ts'
import { encodePropertyEvent } from '../backend/src/domain/event.ts'
import { viewOf, type PropertyState, type PropertyView } from '../backend/src/domain/property.ts'
import { compareBytes } from '../backend/src/domain/stamp.ts'
import {
  decideWrite,
  acceptedStatus,
  refusalOf,
  type RefusedOutcome,
  type WriteRequest,
} from '../backend/src/domain/write.ts'
import { eventPrefix } from '../backend/src/postgres/message-prefix.ts'
import { flushUs, statementMaxMs, type AcceptedWrite, type SimulatedDatabase } from './database.ts'
import type { Transaction } from './transactions.ts'

/** The statement's own work, µs. */
const workUs = [10, 800] as const

/** `writeBatch`: the decisions are `decideWrite`'s, the order of locks that of the statement. */
export async function writeBatch(
  database: SimulatedDatabase,
  requests: readonly WriteRequest[],
): Promise<ReadonlyMap<number, PropertyView>> {
  database.checkUp()
  const waitMs = requests.length === 1 ? statementMaxMs : 0
  const transaction = database.begin()
  try {
    return await writeIn(database, transaction, requests, waitMs)
  } finally {
    if (!transaction.ended) database.rollback(transaction)
  }
}

async function writeIn(
  database: SimulatedDatabase,
  transaction: Transaction,
  requests: readonly WriteRequest[],
  waitMs: number,
): Promise<ReadonlyMap<number, PropertyView>> {
  const decided: { request: WriteRequest; before: PropertyState; after: PropertyState; t: number }[] = []
  for (const request of requests.toSorted((a, b) => a.id - b.id)) {
    const key = `property/${request.id}`
    if (waitMs === 0 && database.isLockedByOther(transaction, key)) continue
    await database.lock(transaction, key, waitMs)
    const before = database.properties.committed.get(request.id)
    const t = database.clock
    const after = before && decideWrite(before, request, { actor: database.actor, t })
    if (before && typeof after === 'object') decided.push({ request, before, after, t })
  }
  const accepted: AcceptedWrite[] = []
  for (const write of decided.toSorted((a, b) => compareBytes(a.request.requestId, b.request.requestId))) {
    const { requestId } = write.request
    await database.lock(transaction, `claim/${requestId}`, statementMaxMs)
    if (!database.claims.committed.has(requestId)) accepted.push(acceptIn(database, transaction, write))
  }
  if (accepted.length === 0) return new Map()
  await database.pause(transaction, workUs)
  await database.pause(transaction, flushUs)
  for (const write of accepted) database.observer.onAccepted(write)
  database.lastEventXid = Math.max(database.lastEventXid, transaction.xid ?? 0)
  database.commit(transaction)
  return new Map(accepted.map(({ request, after }) => [request.id, viewOf(after)]))
}

function acceptIn(
  database: SimulatedDatabase,
  transaction: Transaction,
  {
    request,
    before,
    after,
    t,
  }: { request: WriteRequest; before: PropertyState; after: PropertyState; t: number },
): AcceptedWrite {
  const xid = database.assignXid(transaction)
  const { version, etag } = viewOf(after)
  const acceptance: Acceptance = {
    property: request.id,
    actor: database.actor,
    n: after.vector[database.actor] ?? 0,
    fingerprint: request.fingerprint,
    status: acceptedStatus(request.changes),
    version,
    etag,
    xid: String(xid),
    t,
  }
  const claim: Claim = { request_id: request.requestId, acceptances: [acceptance] }
  transaction.set(database.properties, request.id, after)
  transaction.set(database.claims, request.requestId, claim)
  database.emit(
    transaction,
    encodePropertyEvent({ actor: database.actor, state: after, conflicts: [], claims: [claim] }),
    eventPrefix({ actor: database.actor, key: String(request.id) }),
  )
  return { region: database.region, xid, request, before, after, acceptance }
}

function explainRefusal(database: SimulatedDatabase, request: WriteRequest): RefusedOutcome | undefined {
  const { id, requestId, fingerprint } = request
  const acceptances = database.claims.committed.get(requestId)?.acceptances
  const same = acceptances?.find((acceptance) => acceptance.fingerprint === fingerprint)
  if (same) return { kind: 'duplicate_request', original: same }
  if (acceptances?.[0]) return { kind: 'request_id_reused', original: acceptances[0] }
  const state = database.properties.committed.get(id)
  if (!state) return { kind: 'not_found' }
  const kind = refusalOf(state, request)
  return kind && { kind, current: viewOf(state) }
}

/** `explainRefusals`. */
export function explainRefusals(
  database: SimulatedDatabase,
  requests: readonly WriteRequest[],
): readonly (RefusedOutcome | undefined)[] {
  database.checkUp()
  return requests.map((request) => explainRefusal(database, request))
}
