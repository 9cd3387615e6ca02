import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  checkContentType,
  isRepeated,
  matchesNone,
  parseEntityTags,
  parseId,
  parseIfMatch,
  parseRequestId,
} from './headers.ts'
import type { Checked } from './problems.ts'

const codeOf = (checked: Checked<unknown>) => ('problem' in checked ? checked.problem.code : undefined)

test('a request id is 1 to 200 visible ASCII characters without a comma', () => {
  for (const valid of ['unique-uuid-1234', '!', '~'.repeat(200), `"x"`]) {
    assert.deepEqual(parseRequestId(valid), { value: valid })
  }
  for (const invalid of ['', ' ', 'a b', 'a, a', 'a,b', 'é', 'a\tb', '\u007f', 'x'.repeat(201)]) {
    assert.equal(codeOf(parseRequestId(invalid)), 'invalid_request_id', JSON.stringify(invalid))
  }
  assert.equal(codeOf(parseRequestId(undefined)), 'missing_request_id')
})

test('an id is a positive safe integer in its only spelling', () => {
  assert.deepEqual(parseId('1'), { value: 1 })
  assert.deepEqual(parseId('9007199254740991'), { value: Number.MAX_SAFE_INTEGER })
  const invalid = ['0', '01', '+1', '-1', '1.0', '1e3', '0x1', ' 1', '1 ', '', 'abc', '9007199254740992', '١']
  for (const text of invalid) assert.equal(codeOf(parseId(text)), 'invalid_id', JSON.stringify(text))
  assert.equal(codeOf(parseId(undefined)), 'invalid_id')
})

test('JSON in UTF-8 is the only content type', () => {
  const valid = ['application/json', 'Application/JSON', 'application/json;charset=utf-8']
  valid.push('application/json; charset=UTF-8', 'application/json; charset="utf-8"', 'application/json;')
  for (const value of valid) assert.equal(codeOf(checkContentType(value)), undefined, value)
  for (const value of [
    undefined,
    '',
    'text/plain',
    'application/jsonx',
    'application/problem+json',
    'json',
  ]) {
    assert.equal(codeOf(checkContentType(value)), 'unsupported_media_type', value)
  }
  for (const charset of ['latin1', 'utf-16', 'utf8', '', 'utf-8; charset=latin1']) {
    const value = `application/json; charset=${charset}`
    assert.equal(codeOf(checkContentType(value)), 'unsupported_charset', value)
  }
})

const strong = (tag: string) => ({ weak: false, tag })
const weak = (tag: string) => ({ weak: true, tag })

test('lists of entity tags', () => {
  assert.deepEqual(parseEntityTags('"a"'), [strong('"a"')])
  assert.deepEqual(parseEntityTags('"a", W/"b" ,"c,d"'), [strong('"a"'), weak('"b"'), strong('"c,d"')])
  assert.deepEqual(parseEntityTags(', "a",, "b",'), [strong('"a"'), strong('"b"')])
  assert.deepEqual(parseEntityTags('""'), [strong('""')])
  assert.equal(parseEntityTags(' * '), '*')
  for (const malformed of [
    '',
    ' ',
    ',',
    'a',
    '"a',
    'a"',
    '"a" "b"',
    '"a""b"',
    'w/"a"',
    '*, "a"',
    '"a", *',
    '"a\u0007"',
  ]) {
    assert.equal(parseEntityTags(malformed), undefined, JSON.stringify(malformed))
  }
  const long = `${'"x",'.repeat(4000)}!`
  assert.equal(parseEntityTags(long), undefined)
})

test('If-Match compares strongly, If-None-Match weakly', () => {
  assert.deepEqual(parseIfMatch('W/"a", "b"'), { value: ['"b"'] })
  assert.deepEqual(parseIfMatch('W/"a"'), { value: [] })
  assert.deepEqual(parseIfMatch('*'), { value: '*' })
  assert.deepEqual(parseIfMatch(undefined), { value: undefined })
  assert.equal(codeOf(parseIfMatch('a')), 'invalid_header')
  assert.equal(matchesNone('W/"a"', '"a"'), true)
  assert.equal(matchesNone('"b", "a"', '"a"'), true)
  assert.equal(matchesNone('*', '"a"'), true)
  assert.equal(matchesNone('"b"', '"a"'), false)
  assert.equal(matchesNone('a', '"a"'), false)
  assert.equal(matchesNone(undefined, '"a"'), false)
})

test('a repeated header is found under any spelling of its name', () => {
  const raw = ['Content-Type', 'application/json', 'content-type', 'text/plain', 'X', 'content-type']
  assert.equal(isRepeated(raw, 'content-type'), true)
  assert.equal(isRepeated(raw, 'x'), false)
})
