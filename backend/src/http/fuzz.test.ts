import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import * as fc from 'fast-check'
import { fieldNames } from '../domain/fields.ts'
import { problemTable, type ProblemCode } from './problems.ts'
import { freshRequestId, put, startTestApp, type TestApp } from './testing/test-app.ts'

let app: TestApp
before(async () => {
  app = await startTestApp()
})
after(() => app.drain())

/** Asserts that an answer is a well-formed refusal that has changed nothing, or a 200. */
async function assertHarmless(response: Response, claimsBefore: number): Promise<void> {
  const text = await response.text()
  assert.equal(response.headers.get('x-served-by'), 'us')
  if (response.status === 200) return
  assert.ok(response.status >= 400 && response.status < 500, `${response.status} ${text}`)
  assert.equal(response.headers.get('content-type'), 'application/problem+json')
  const { code, status } = JSON.parse(text) as { code: ProblemCode; status: number }
  assert.equal(problemTable[code].status, response.status)
  assert.equal(status, response.status)
  assert.equal(app.store.claims.size, claimsBefore)
}

async function send(body: string | Uint8Array, headers: Record<string, string> = {}): Promise<Response> {
  const claimsBefore = app.store.claims.size
  const response = await put(`${app.url}/us/properties/1`, body, headers)
  await assertHarmless(response.clone(), claimsBefore)
  return response
}

/** Values near to what the members allow, and far from it. */
const anyValue = fc.oneof(
  fc.jsonValue(),
  fc.double(),
  fc.integer({ min: -2, max: 1002 }),
  fc.constantFrom('sold', '', '\u0000', '\ud800', 'x'.repeat(201), 1e308, -0, 0.005, 2 ** 53),
)

const memberName = fc.oneof(
  fc.constantFrom(...fieldNames, 'id', 'version', 'etag', 'region_origin', 'updated_at'),
  fc.constantFrom('__proto__', 'constructor', 'toString', 'hasOwnProperty', 'deleted', 'vector'),
  fc.string(),
)

const anyObject = fc
  .array(fc.tuple(memberName, anyValue), { maxLength: 8 })
  .map(
    (members) =>
      `{${members.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join()}}`,
  )

test('no bytes as a body are worse than a refusal', async () => {
  const property = fc.asyncProperty(fc.uint8Array({ maxLength: 500 }), async (bytes) => {
    assert.notEqual((await send(bytes)).status, 200)
  })
  await fc.assert(property, { numRuns: 200 })
})

test('no JSON as a body is worse than a refusal', async () => {
  await fc.assert(
    fc.asyncProperty(fc.json({ maxDepth: 5 }), async (text) => void (await send(text))),
    { numRuns: 200 },
  )
})

test('no object of known and unknown members is worse than a refusal', async () => {
  await fc.assert(
    fc.asyncProperty(anyObject, async (text) => void (await send(text))),
    { numRuns: 600 },
  )
})

test('no bytes said to be compressed are worse than a refusal', async () => {
  const encodings = fc.constantFrom('gzip', 'deflate', 'br', 'identity', 'GZIP', 'x-gzip', 'gzip, br')
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), encodings, async (bytes, encoding) => {
      assert.notEqual((await send(bytes, { 'Content-Encoding': encoding })).status, 200)
    }),
    { numRuns: 200 },
  )
})

test('no header and no path is worse than a refusal', async () => {
  const visible = fc.string({
    unit: fc.integer({ min: 0x20, max: 0xff }).map((code) => String.fromCharCode(code)),
  })
  const header = visible.map((text) => text.replaceAll(/[\u007f]/g, ''))
  await fc.assert(
    fc.asyncProperty(header, header, fc.webPath(), async (id, match, path) => {
      const headers = { 'X-Request-ID': id, 'If-Match': match, 'If-None-Match': match }
      await send('{"price":1,"version":1}', headers)
      const claimsBefore = app.store.claims.size
      await assertHarmless(await put(`${app.url}/us/properties/1${path}`, '{}'), claimsBefore)
      await assertHarmless(
        await put(`${app.url}/us/properties/${encodeURIComponent(path)}`, '{}'),
        claimsBefore,
      )
      const read = { 'X-Request-ID': freshRequestId(), 'If-Match': match }
      await assertHarmless(await fetch(`${app.url}/us/properties/1`, { headers: read }), claimsBefore)
    }),
    { numRuns: 200 },
  )
})
