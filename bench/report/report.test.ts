import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Row } from '../figure.ts'
import { renderMarkdown } from './markdown.ts'
import type { RunRecord } from './record.ts'
import { tableOnScreen } from './screen.ts'
import { renderSvg, shareOf } from './svg.ts'
import { goalText } from './texts.ts'

const rows: Row[] = [
  {
    title: 'PUT & more',
    unit: '/s',
    values: [13_000, 13_412, 14_000],
    anchor: { title: 'pgbench', values: [13_000, 13_000, 13_000] },
    goal: { atLeast: 1 },
    note: 'quiet',
  },
  { title: 'start', unit: 's', values: [12], goal: { atMost: 10 } },
  {
    title: 'for information',
    unit: '/s',
    values: [1],
    anchor: { title: 'one', values: [2] },
    note: 'second',
  },
]

const record: RunRecord = {
  at: '2026-01-02T03:04:05.000Z',
  commit: 'abc1234',
  size: 'full',
  rounds: 3,
  seconds: 6,
  minutes: 12.4,
  machine: {
    cores: 2,
    processor: 'Some Processor',
    memoryGb: 8,
    system: 'Linux 6',
    loadAverage: 0.1,
    flushMs: 0.2,
    programs: { PostgreSQL: '14.23.0' },
  },
  overloads: 0,
  failures: [],
  rows,
}

test('the page has a line for each figure, with its verdict and its note', () => {
  const page = renderMarkdown(record, 'picture.svg')
  assert.match(
    page,
    /\| PUT & more \[1\] \| 13,400\/s \| 13,000\/s<br>pgbench \| \*\*1\.03\*\* \| 1 – 1\.08 \| ≥ 1 \| met \|/,
  )
  assert.match(page, /\| start \| 12 s \| – \| – \| – \| ≤ 10 s \| not met \|/)
  assert.match(page, /\| for information \[2\] .* \| – \|  \|/)
  assert.match(page, /\[1\] quiet<br>\n\[2\] second/)
  assert.match(page, /2 cores of Some Processor/)
  assert.doesNotMatch(page, /undefined|NaN/)
})

test('what failed is said at the top', () => {
  const page = renderMarkdown(
    { ...record, overloads: 3, failures: [{ figure: 'put', reason: 'WRONG: lost' }] },
    'picture.svg',
  )
  assert.match(page, /\*\*Failed: put\*\* \(WRONG: lost\)/)
  assert.match(page, /3 writes were answered with 429 or 503/)
})

test('the picture shows goals only, well-formed, with both themes', () => {
  const picture = renderSvg(rows)
  assert.match(picture, /1 of 2 goals met/)
  assert.match(picture, /prefers-color-scheme: dark/)
  assert.match(picture, /PUT &amp; more/)
  assert.doesNotMatch(picture, /for information|NaN|undefined/)
  const opened = picture.match(/<(svg|style|g|text|title)\b/g)?.length
  assert.equal(picture.match(/<\/(svg|style|g|text|title)>/g)?.length, opened)
})

test('a share says how much of its goal a number is, whichever way is better', () => {
  assert.equal(shareOf(1.2, { atLeast: 0.6 }), 2)
  assert.equal(shareOf(5, { atMost: 10 }), 2)
  assert.equal(shareOf(20, { atMost: 10 }), 0.5)
})

test('goals and lines as text', () => {
  assert.equal(goalText({ atMost: 250 }, 'MB'), '≤ 250 MB')
  assert.equal(goalText(undefined), '')
  assert.match(
    tableOnScreen(rows),
    /13,400\/s  against 13,000\/s: ratio 1\.03  \(1 – 1\.08\)  goal ≥ 1: met  quiet/,
  )
})
