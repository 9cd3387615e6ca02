/**
 * What must hold, whatever was done to the system: judged from records alone, apart from the faults' own code.
 * (Lost and doubled writes are the audit's, `support/audit.ts`.) Pure.
 */

import { createHash } from 'node:crypto'
import type { Observation } from '../support/history.ts'
import type { FailureRecord, FaultRecord, LagSample } from './record.ts'

/** From here on an unmerged write must show in the lag. */
const lagMattersFromS = 1.5
/** How much less than the truth the lag may be: heartbeats come every 250 ms, up to 500 ms count as fresh. */
const lagToleranceS = 1
/** Problems of one kind that are told; the others are counted. */
const toldMax = 5

/** A client never sees a region go back; one version of one region, and one ETag anywhere, is one state. */
export function checkObservations(observations: readonly Observation[]): string[] {
  const problems: string[] = []
  const latest = new Map<string, number>()
  const etagOfVersion = new Map<string, string>()
  const bodyOfEtag = new Map<string, string>()
  for (const { client, property, servedBy, body } of observations) {
    const version = Number(body['version'])
    const etag = String(body['etag'])
    const where = `property ${property} in ${servedBy}`
    const last = latest.get(`${client} ${where}`) ?? 0
    if (version < last) problems.push(`${client} saw ${where} go back from version ${last} to ${version}`)
    latest.set(`${client} ${where}`, Math.max(last, version))
    const known = etagOfVersion.get(`${where} ${version}`)
    if (known !== undefined && known !== etag) {
      problems.push(`${where}: version ${version} is ${known} and ${etag}`)
    }
    etagOfVersion.set(`${where} ${version}`, etag)
    const digest = digestOf(body)
    const shown = bodyOfEtag.get(`${property} ${etag}`)
    if (shown !== undefined && shown !== digest) {
      problems.push(`property ${property}: two bodies with the ETag ${etag}, one of them in ${servedBy}`)
    }
    bodyOfEtag.set(`${property} ${etag}`, digest)
  }
  return shortened(problems)
}

function digestOf(body: Observation['body']): string {
  const members = Object.entries(body).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return createHash('sha1').update(JSON.stringify(members)).digest('base64')
}

/** The lag is never much less than the age of the oldest acknowledged write that has not arrived. */
export function checkLag(samples: readonly LagSample[]): string[] {
  const lies = samples.filter(
    ({ lag, age }) =>
      typeof lag === 'number' && age !== undefined && age >= lagMattersFromS && lag < age - lagToleranceS,
  )
  return shortened(
    lies.map(
      ({ at, backend, lag, age, unmerged }) =>
        `${backend} at ${(at / 1000).toFixed(1)} s reports a lag of ${lag} s, but ${unmerged} acknowledged writes are ` +
        `not merged, the oldest for ${age?.toFixed(2)} s`,
    ),
  )
}

/**
 * What a fault does to the clients: those of `none` and one at a time of `backend` must fail no request; while
 * a region has no database or there is no way in, or several backends are gone at once, failures are only counted.
 */
export function harmOf({
  victim,
}: Pick<FaultRecord, 'victim'>): 'none' | 'backend' | 'database' | 'entrance' {
  if (victim.startsWith('nginx')) return 'entrance'
  if (/^(postgres|db)-/.test(victim)) return 'database'
  if (victim.includes('backend')) return 'backend'
  return 'none'
}

/** The faults during which a request failed; a fault lasts until the system has recovered from it. */
export function faultsDuring(
  { beganAt, at }: Pick<FailureRecord, 'beganAt' | 'at'>,
  faults: readonly FaultRecord[],
): FaultRecord[] {
  return faults.filter(
    (fault) => fault.beganAt <= at && beganAt <= (fault.recoveredAt ?? Number.POSITIVE_INFINITY),
  )
}

/** No request through NGINX fails without a fault, nor because one backend, Kafka or a replication path is in trouble. */
export function checkFailures(failures: readonly FailureRecord[], faults: readonly FaultRecord[]): string[] {
  const problems: string[] = []
  for (const failure of failures) {
    if (failure.direct) continue
    const during = faultsDuring(failure, faults)
    const harms = during.map(harmOf).filter((harm) => harm !== 'none')
    if (harms.length > 1 || harms.some((harm) => harm !== 'backend')) continue
    const cause = during.map(({ kind, victim }) => `${kind} ${victim}`).join(', ') || 'no fault'
    problems.push(
      `at ${(failure.at / 1000).toFixed(1)} s, during ${cause}: ${failure.path} ${failure.requestId ?? ''}: ${failure.reason}`,
    )
  }
  return shortened(problems)
}

/** Every fault was recovered from. */
export function checkRecoveries(faults: readonly FaultRecord[]): string[] {
  return faults
    .filter(({ recoveredAt }) => recoveredAt === undefined)
    .map(({ kind, victim, healedAt }) => `${kind} ${victim}, healed at ${Math.round(healedAt / 1000)} s`)
}

function shortened(problems: readonly string[]): string[] {
  if (problems.length <= toldMax) return [...problems]
  return [...problems.slice(0, toldMax), `and ${problems.length - toldMax} more of this kind`]
}
