/** Both regions written at once: nothing is lost, nothing is doubled, and both end up with the same. */

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { audit, readVectors } from '../support/audit.ts'
import type { History } from '../support/history.ts'
import type { Answer } from '../support/http.ts'
import { idsFrom, Load } from '../support/load.ts'
import { waitForEqualRegions } from '../support/regions.ts'
import { loadSeconds } from '../support/settings.ts'
import { regionNames, type RegionName } from '../support/system.ts'
import { useSystem } from '../support/use-system.ts'

/** How long after the last write the regions may differ. */
const convergenceMaxMs = 2_000
/** The same after Kafka was frozen: its clients have to notice that it is back. */
const afterFreezeMaxMs = 15_000
const pairs = 40

/** Each test has properties of its own. */
const idsOf = {
  load: idsFrom(1, 40),
  differentFields: idsFrom(101, pairs),
  sameField: idsFrom(201, pairs),
  oneRequest: idsFrom(301, 20),
  twins: idsFrom(401, 5),
  reused: idsFrom(501, 5),
  deleted: idsFrom(601, 10),
}

const system = useSystem()

type Conflict = {
  id: string
  property_id: number
  group: string
  kind: string
  value: object
  region: string
}

const put = (region: RegionName, id: number, body: object, requestId: string = randomUUID()) =>
  system.ask(`/${region}/properties/${id}`, { method: 'PUT', requestId, body })

const get = (region: RegionName, id: number) => system.ask(`/${region}/properties/${id}`)

const conflictsAt = async (path: string): Promise<readonly Conflict[]> =>
  (await system.ask(path)).body['conflicts'] as Conflict[]

/** Runs `writes` while no region hears of the other, and waits until both are equal. */
async function whileApart<T>(writes: () => Promise<T>): Promise<T> {
  system.stack.kafka.pause()
  const result = await writes().finally(() => system.stack.kafka.resume())
  await waitForEqualRegions(system, { since: performance.now(), timeoutMs: afterFreezeMaxMs })
  return result
}

/** Both regions' answers to one write each, on the version that both have. */
async function writePair(id: number, us: object, eu: object, requestIds?: Record<RegionName, string>) {
  const { version } = (await get('us', id)).body
  const answers = await Promise.all([
    put('us', id, { ...us, version }, requestIds?.us),
    put('eu', id, { ...eu, version }, requestIds?.eu),
  ])
  assert.deepEqual(
    answers.map(({ status, servedBy }) => [status, servedBy]),
    [
      [200, 'us'],
      [200, 'eu'],
    ],
  )
  return answers
}

test(`24 clients, 40 properties, both regions, ${loadSeconds} s`, async (t) => {
  const { us } = system.databases
  const vectors = await readVectors(us, idsOf.load)
  const load = Load.start({ url: system.stack.url, properties: idsOf.load, clients: { us: 12, eu: 12 } })
  await delay(loadSeconds * 1_000)
  const history = await load.stop()
  const convergedMs = await waitForEqualRegions(system, {
    since: history.lastAt,
    timeoutMs: afterFreezeMaxMs,
  })
  const { problems, ...figures } = await audit(us, history, vectors)
  t.diagnostic(`${JSON.stringify(figures)}, equal after ${Math.round(convergedMs)} ms`)
  assert.deepEqual(problems, [])
  assert.deepEqual(history.failures, [])
  // Nothing failed, so what was accepted is what was acknowledged.
  assert.equal(figures.accepted, figures.acknowledged)
  assert.ok(figures.acknowledged > 20 * loadSeconds, `only ${figures.acknowledged} writes`)
  assert.ok(figures.conflicts > 0, 'no two writes met: the load proves nothing')
  const written = await readVectors(us, idsOf.load)
  for (const [id, vector] of written) {
    const sum = Object.values(vector).reduce((total, n) => total + n, 0)
    const acknowledged = history.acknowledged.filter(({ write }) => write.property === id).length
    assert.equal(sum, acknowledged, `property ${id}`)
    for (const region of regionNames) {
      assert.equal((await get(region, id)).body['version'], 1 + acknowledged, `property ${id} in ${region}`)
    }
  }
  assert.ok(convergedMs <= convergenceMaxMs, `equal after ${convergedMs} ms`)
  await assertAuditNotices(history, vectors)
})

/** Damages the database in each way that the audit is there to find, in a transaction that is rolled back. */
async function assertAuditNotices(history: History, vectors: Awaited<ReturnType<typeof readVectors>>) {
  const damages = {
    'not on record': `DELETE FROM claims WHERE request_id = $1`,
    'answered as': `UPDATE claims SET acceptances = jsonb_set(acceptances, '{0,version}', '0') WHERE request_id = $1`,
    'not in the row': `UPDATE properties SET vector = '{}', version = 1 FROM claims
      WHERE id = (acceptances->0->>'property')::bigint AND request_id = $1`,
    "its stamp's write said": `UPDATE properties SET price = 0.01 WHERE stamps ? 'price' AND $1::text <> ''`,
    'lost in silence': `DELETE FROM conflicts WHERE record->>'kind' = 'concurrent' AND $1::text <> ''`,
    'a twin recorded as': `UPDATE claims SET acceptances = acceptances || (
      SELECT acceptances->0 FROM claims WHERE request_id <> $1 LIMIT 1) WHERE request_id = $1`,
  }
  const client = await system.databases.us.connect()
  try {
    for (const [expected, damage] of Object.entries(damages)) {
      await client.query('BEGIN')
      await client.query(damage, [history.acknowledged[0]?.write.requestId])
      const { problems } = await audit(client, history, vectors)
      await client.query('ROLLBACK')
      assert.ok(
        problems.some((problem) => problem.includes(expected)),
        `the audit overlooks: ${expected}`,
      )
    }
  } finally {
    client.release()
  }
}

test(`${pairs} pairs of concurrent writes to different fields: both are kept`, async () => {
  await whileApart(() =>
    Promise.all(
      idsOf.differentFields.map((id) => writePair(id, { price: id + 0.25 }, { title: `from eu ${id}` })),
    ),
  )
  for (const id of idsOf.differentFields) {
    for (const region of regionNames) {
      const { price, title, version } = (await get(region, id)).body
      assert.deepEqual({ price, title, version }, { price: id + 0.25, title: `from eu ${id}`, version: 3 })
      assert.deepEqual(await conflictsAt(`/${region}/properties/${id}/conflicts`), [])
    }
  }
})

test(`${pairs} pairs of concurrent writes to one field: one winner, and the loser is on record`, async () => {
  const values = (id: number) => ({ us: id + 0.25, eu: id + 0.5 })
  await whileApart(() =>
    Promise.all(
      idsOf.sameField.map((id) => writePair(id, { price: values(id).us }, { price: values(id).eu })),
    ),
  )
  for (const id of idsOf.sameField) {
    const [us, eu] = [(await get('us', id)).body, (await get('eu', id)).body]
    assert.deepEqual(us, eu)
    assert.equal(us['version'], 3)
    const winner = regionNames.find((region) => us['price'] === values(id)[region])
    assert.ok(winner, `the price of ${id} is ${String(us['price'])}`)
    const loser = winner === 'us' ? 'eu' : 'us'
    for (const region of regionNames) {
      const own = await conflictsAt(`/${region}/properties/${id}/conflicts`)
      assert.deepEqual(
        own.map(({ group, kind, value, region: written }) => ({ group, kind, value, region: written })),
        [{ group: 'price', kind: 'concurrent', value: { price: values(id)[loser] }, region: loser }],
      )
    }
  }
  const open = await conflictsAt('/us/conflicts')
  assert.deepEqual(await conflictsAt('/eu/conflicts'), open)
  const listed = new Set(open.map(({ property_id }) => property_id))
  assert.deepEqual(
    idsOf.sameField.filter((id) => !listed.has(id)),
    [],
    'the newest losers are listed',
  )
})

test('a delete that meets a write: the property is gone, the hidden value on record, and restored by writing it', async () => {
  await whileApart(() =>
    Promise.all(
      idsOf.deleted.map(async (id) => {
        const gone = { method: 'DELETE', requestId: randomUUID(), ifMatch: '"seed"' } as const
        const written = await put('eu', id, { price: id + 0.5, version: 1 })
        const { status } = await system.ask(`/us/properties/${id}`, gone)
        assert.deepEqual([written.status, status], [200, 204])
      }),
    ),
  )
  for (const [index, id] of idsOf.deleted.entries()) {
    const [us, eu] = [await get('us', id), await get('eu', id)]
    assert.deepEqual([us.status, us.body['code'], us.body], [404, 'deleted', eu.body])
    const [hidden, ...others] = await conflictsAt(`/us/properties/${id}/conflicts`)
    assert.deepEqual([hidden?.value, hidden?.region, others], [{ price: id + 0.5 }, 'eu', []])
    assert.deepEqual(await conflictsAt(`/eu/properties/${id}/conflicts`), [hidden])
    const back = { ...hidden?.value, deleted: false, etag: us.body['etag'] }
    const { status, body } = await put(regionNames[index % 2] as RegionName, id, back)
    assert.deepEqual([status, body['price'], body['version']], [200, id + 0.5, 4])
  }
})

test('one X-Request-ID on 20 properties at once in one region takes effect once', async () => {
  const requestId = randomUUID()
  const answers = await Promise.all(
    idsOf.oneRequest.map((id) => put('us', id, { price: 7, version: 1 }, requestId)),
  )
  const accepted = answers.filter(({ status }) => status === 200)
  assert.equal(accepted.length, 1)
  const refused = answers.filter(({ status }) => status !== 200)
  for (const answer of refused) assertSpent(answer, 'request_id_reused', accepted[0]?.body['etag'])
  await waitForEqualRegions(system, { since: performance.now(), timeoutMs: convergenceMaxMs })
  for (const { rows } of await inBothDatabases(
    `SELECT id::integer FROM properties WHERE id = ANY ($1) AND version > 1 OR version > 2 AND id = ANY ($1)`,
    [idsOf.oneRequest],
  )) {
    assert.deepEqual(rows, [{ id: accepted[0]?.body['id'] }])
  }
})

test('one request accepted in both regions before they hear of each other: `duplicate`, once', async () => {
  const ids = new Map(idsOf.twins.map((id) => [id, randomUUID()]))
  const bodies = (id: number) => ({ price: id + 0.75, version: 1 })
  await whileApart(() =>
    Promise.all(
      [...ids].map(([id, requestId]) =>
        writePair(id, bodies(id), bodies(id), { us: requestId, eu: requestId }),
      ),
    ),
  )
  for (const [id, requestId] of ids) {
    for (const region of regionNames) {
      const { price, version } = (await get(region, id)).body
      assert.deepEqual({ price, version }, { price: id + 0.75, version: 3 })
      assert.deepEqual(
        (await conflictsAt(`/${region}/properties/${id}/conflicts`)).map(({ group, kind }) => [group, kind]),
        [['request', 'duplicate']],
      )
      assertSpent(await put(region, id, bodies(id), requestId), 'duplicate_request')
      assertSpent(await put(region, id, { price: 1, version: 3 }, requestId), 'request_id_reused')
    }
    await assertNotOpen(id)
  }
})

test('one id on different requests in both regions: `request_id_reused`, in the inbox', async () => {
  const ids = new Map(idsOf.reused.map((id) => [id, randomUUID()]))
  const bodies = (id: number) => ({ us: { price: id + 0.25, version: 1 }, eu: { bedrooms: 9, version: 1 } })
  await whileApart(() =>
    Promise.all(
      [...ids].map(([id, requestId]) =>
        writePair(id, bodies(id).us, bodies(id).eu, { us: requestId, eu: requestId }),
      ),
    ),
  )
  for (const [id, requestId] of ids) {
    for (const region of regionNames) {
      const { price, bedrooms, version } = (await get(region, id)).body
      assert.deepEqual({ price, bedrooms, version }, { price: id + 0.25, bedrooms: 9, version: 3 })
      const recorded = (await conflictsAt(`/${region}/properties/${id}/conflicts`)).map(({ kind }) => kind)
      assert.deepEqual(recorded, ['request_id_reused'])
      const open = await conflictsAt(`/${region}/conflicts`)
      assert.equal(open.filter(({ property_id }) => property_id === id).length, 1)
      for (const body of Object.values(bodies(id))) {
        assertSpent(await put(region, id, body, requestId), 'duplicate_request')
      }
      assertSpent(await put(region, id, { price: 1, version: 3 }, requestId), 'request_id_reused')
    }
  }
})

async function assertNotOpen(id: number): Promise<void> {
  for (const { rows } of await inBothDatabases('SELECT id FROM conflicts WHERE property_id = $1 AND open', [
    id,
  ])) {
    assert.deepEqual(rows, [])
  }
}

function assertSpent({ status, body }: Answer, code: string, etag?: unknown): void {
  assert.deepEqual([status, body['code']], [422, code])
  const original = body['original'] as { status: number; etag: string }
  assert.equal(original.status, 200)
  if (etag !== undefined) assert.equal(original.etag, etag)
}

const inBothDatabases = (sql: string, values: unknown[]) =>
  Promise.all(regionNames.map((region) => system.databases[region].query(sql, values)))
