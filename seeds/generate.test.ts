/** The committed seed data: what the generator makes, every row acceptable to the API, and varied enough to look real. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test from 'node:test'
import { generateProperties, seedFile, seedFileText, seedPropertyCount } from './generate.ts'
import type { SeedProperty } from './generate.ts'

const committedText = readFileSync(seedFile, 'utf8')
const committed = JSON.parse(committedText) as readonly SeedProperty[]

const memberNames = [
  'id',
  'region_origin',
  'title',
  'description',
  'price',
  'bedrooms',
  'bathrooms',
  'status',
]

/** Unfilled slots, doubled blanks, and articles that do not fit the next word. */
const malformed =
  /undefined|\bnan\b|\bnull\b|\s{2}|\s[.,;:]|(?<!\p{L})(?:(?:an?|the) (?:an?|the)(?!\p{L})|a [aei]|an [bcdfg])/iu

const countBy = <T>(
  items: readonly T[],
  keyOf: (item: T) => string | number,
): Map<string | number, number> => {
  const counts = new Map<string | number, number>()
  for (const item of items) counts.set(keyOf(item), (counts.get(keyOf(item)) ?? 0) + 1)
  return counts
}

const share = (predicate: (property: SeedProperty) => boolean): number =>
  committed.filter(predicate).length / committed.length

test('the committed file is the generator’s output, byte for byte, each time', () => {
  assert.equal(seedFileText(generateProperties()), committedText, 'run: node seeds/generate.ts')
  assert.equal(seedFileText(generateProperties()), committedText)
})

test('the file has one property a line, ids 1 to 1,000 in order, and well-formed text', () => {
  assert.equal(committedText.split('\n').length, seedPropertyCount + 3)
  assert.deepEqual(
    committed.map(({ id }) => id),
    Array.from({ length: seedPropertyCount }, (_, index) => index + 1),
  )
  assert.ok(committedText.isWellFormed())
  assert.equal(committedText, committedText.normalize('NFC'))
})

test('every row keeps the limits of the API', () => {
  for (const property of committed) {
    const { bathrooms, bedrooms, description, id, price, region_origin, status, title } = property
    const say = `property ${id}`
    assert.deepEqual(Object.keys(property), memberNames, say)
    assert.ok(['us', 'eu'].includes(region_origin), say)
    assert.ok(['draft', 'active', 'pending', 'sold', 'withdrawn'].includes(status), say)
    assert.ok(title.length > 10 && title.length <= 200, say)
    assert.ok(description.length > 20 && description.length <= 10_000, say)
    assert.ok(Number.isFinite(price) && price >= 0 && price < 1e12, say)
    assert.equal(Number(price.toFixed(2)), price, say)
    assert.ok(Number.isInteger(bedrooms) && bedrooms >= 0 && bedrooms <= 1_000, say)
    assert.ok(Number.isInteger(bathrooms * 2) && bathrooms >= 0 && bathrooms <= 1_000, say)
  }
})

test('text and fields of a row agree', () => {
  const words = ['no', 'one', 'two', 'three', 'four', 'five', 'six']
  for (const { bathrooms, bedrooms, description, id, price, title } of committed) {
    const text = `${title}. ${description}`
    const say = `property ${id}: ${text}`
    assert.equal(/\bstudio\b/i.test(text), bedrooms === 0, say)
    for (const [, count] of text.matchAll(/(\w+)(?:-| )bedroom/gi))
      assert.equal(count?.toLowerCase(), words[bedrooms], say)
    assert.ok(bathrooms >= 1 && bathrooms <= Math.max(1.5, bedrooms + 1), say)
    assert.ok(price >= 50_000 && price < 10_000_000, say)
    assert.doesNotMatch(text, malformed, say)
    assert.match(description, /^[A-Z0-9].*\.$/, say)
    const sentences = description.split(/\. (?=[A-Z])/).length
    assert.ok(sentences >= 1 && sentences <= 3, say)
  }
})

test('regions, statuses, sizes and prices are spread as in a real market', () => {
  assert.equal(committed[0]?.region_origin, 'us')
  assert.equal(
    share(({ region_origin }) => region_origin === 'us'),
    0.5,
  )
  const alternations = committed.filter(
    (p, index) => p.region_origin !== committed[index - 1]?.region_origin,
  ).length
  assert.ok(alternations > 400, `regions are mixed over the ids: ${alternations} changes`)
  const byStatus = countBy(committed, ({ status }) => status)
  assert.equal(byStatus.size, 5)
  assert.ok(share(({ status }) => status === 'active') > 0.6)
  for (const bedrooms of [0, 1, 2, 3, 4])
    assert.ok(share((p) => p.bedrooms === bedrooms) > 0.05, `${bedrooms} bedrooms`)
  const prices = committed.map(({ price }) => price).toSorted((a, b) => a - b)
  const median = prices[seedPropertyCount / 2] ?? 0
  assert.ok(median > 300_000 && median < 900_000, `median price ${median}`)
  assert.ok(new Set(prices).size > 200, 'prices vary')
})

test('no two listings read the same', () => {
  assert.equal(new Set(committed.map(({ title }) => title)).size, seedPropertyCount)
  assert.equal(new Set(committed.map(({ description }) => description)).size, seedPropertyCount)
  const openings = countBy(committed, ({ description }) => description.split(' ').slice(0, 8).join(' '))
  assert.ok(Math.max(...openings.values()) <= 20, 'no opening is used over and over')
})
