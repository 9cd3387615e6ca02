import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parsePropertyPut, type PropertyPut } from './validation.ts'
import type { Problem } from './problems.ts'

function refused(body: unknown, id = 1): Problem {
  const result = parsePropertyPut(body, id, undefined)
  assert.ok('problem' in result, `accepted: ${JSON.stringify(body)}`)
  return result.problem
}

function accepted(body: unknown, ifMatch?: readonly string[]): PropertyPut {
  const result = parsePropertyPut(body, 1, ifMatch)
  assert.ok('value' in result, JSON.stringify(result))
  return result.value
}

const wrongMembers = (body: unknown) => (refused(body).errors ?? []).map(({ member }) => member)

test('a change with a guard is taken, and nothing else of the body', () => {
  assert.deepEqual(accepted({ price: 1_250_000.5, version: 1 }), {
    guard: { version: 1 },
    changes: { price: 1_250_000.5 },
  })
  const whole = {
    id: 1,
    region_origin: 'moon',
    price: 1,
    bedrooms: 2,
    bathrooms: 1.5,
    title: '',
    description: 'é',
    status: 'sold',
    version: 7,
    updated_at: 'never',
    etag: '"seed"',
  }
  const { price, bedrooms, bathrooms, title, description, status } = whole
  assert.deepEqual(accepted(whole), {
    guard: { version: 7, etag: '"seed"' },
    changes: { price, bedrooms, bathrooms, title, description, status },
  })
})

test('limits of each member', () => {
  const good: Record<string, unknown[]> = {
    price: [0, 0.01, 0.1, 19.99, 1.1, 999_999_999_999.99, 1e11],
    bedrooms: [0, 1000],
    bathrooms: [0, 0.5, 1000],
    title: ['', 'x'.repeat(200), '\u{1f3e0}'],
    description: ['', 'x'.repeat(10_000)],
    status: ['draft', 'active', 'pending', 'sold', 'withdrawn'],
  }
  const bad: Record<string, unknown[]> = {
    price: [-0.01, 1.005, 1e12, 1e308, Infinity, NaN, '1', null, true, [1], {}, 0.001],
    bedrooms: [-1, 1001, 1.5, '2', null, 1e308],
    bathrooms: [-0.5, 1000.5, 0.25, 1.1, '1', null],
    title: ['x'.repeat(201), 1, null, 'a\u0000b', '\ud800'],
    description: ['x'.repeat(10_001), {}, 'a\u0000b'],
    status: ['Active', '', 'gone', 1, null],
    version: [0, -1, 1.5, '1', null, 2 ** 53, true],
    etag: [1, null, 'é', 'x'.repeat(5000), 'a\nb'],
    region_origin: [1, null, [[]]],
    updated_at: [1, null, {}],
    id: [2, '1', null, 1.5, 0],
  }
  for (const [member, values] of Object.entries(good)) {
    for (const value of values) {
      assert.deepEqual(accepted({ version: 1, [member]: value }).changes, { [member]: value })
    }
  }
  for (const [member, values] of Object.entries(bad)) {
    for (const value of values) {
      assert.deepEqual(
        wrongMembers({ version: 1, title: 'x', [member]: value }),
        [member],
        `${member}: ${String(value)}`,
      )
    }
  }
})

test('-0 is 0', () => {
  assert.ok(Object.is(accepted({ version: 1, price: -0 }).changes.price, 0))
})

test('a refusal names every wrong member, unknown ones too', () => {
  const body = JSON.parse(
    '{"price":"x","bedrooms":-1,"version":0,"__proto__":1,"constructor":1,"toString":1,"deleted":true}',
  ) as unknown
  assert.deepEqual(
    wrongMembers(body).toSorted(),
    ['price', 'bedrooms', 'version', '__proto__', 'constructor', 'toString', 'deleted'].toSorted(),
  )
  const { code, detail } = refused(body)
  assert.equal(code, 'invalid_body')
  assert.match(detail, /__proto__/)
})

test('a body full of wrong members gets a short answer', () => {
  const body = Object.fromEntries(
    Array.from({ length: 5000 }, (_, index) => [`${index}${'x'.repeat(300)}`, 1]),
  )
  const problem = refused(body)
  assert.equal(problem.errors?.length, 20)
  assert.match(problem.detail, /and 4980 more\.$/)
  assert.ok(JSON.stringify(problem).length < 10_000)
})

test('members of a polluted prototype are not members', () => {
  assert.equal(refused(JSON.parse('{"__proto__":{"price":1,"version":1}}')).code, 'invalid_body')
  assert.equal(({} as Record<string, unknown>)['price'], undefined)
})

test('the root must be an object', () => {
  for (const body of [null, [], [{ price: 1, version: 1 }], 'x', 1, true]) {
    assert.equal(refused(body).code, 'invalid_body')
  }
})

test('a guard must be there, and a change', () => {
  assert.equal(refused({ price: 1 }).code, 'guard_required')
  assert.equal(refused({}).code, 'guard_required')
  assert.equal(refused({ version: 1 }).code, 'nothing_to_change')
  assert.equal(refused({ version: 1, id: 1, region_origin: 'us', updated_at: 'x' }).code, 'nothing_to_change')
  assert.deepEqual(accepted({ price: 1 }, []).guard, { ifMatch: [] })
  assert.deepEqual(accepted({ price: 1, etag: '"seed"' }, ['"a"']).guard, {
    etag: '"seed"',
    ifMatch: ['"a"'],
  })
})
