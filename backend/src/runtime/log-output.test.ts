import assert from 'node:assert/strict'
import { test } from 'node:test'
import { flushMs, linesMax, LogOutput } from './log-output.ts'

/** An output and what it has written so far. */
function outputInto() {
  const written: string[] = []
  let flushed = 0
  const output = new LogOutput({ write: (text) => written.push(text), flushSync: () => flushed++ })
  return { output, written, flushed: () => flushed }
}

test('lines are written together, when there are many', () => {
  const { output, written } = outputInto()
  const lines = Array.from({ length: linesMax + 1 }, (_, n) => `line ${n}\n`)
  for (const line of lines) output.write(line)
  assert.deepEqual(written, [lines.slice(0, linesMax).join('')])
  output.flushSync()
  assert.equal(written.join(''), lines.join(''))
})

test('a lone line is written after a while', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { output, written } = outputInto()
  for (const line of ['one\n', 'two\n']) {
    output.write(line)
    t.mock.timers.tick(flushMs - 1)
    assert.ok(!written.includes(line))
    t.mock.timers.tick(1)
    assert.equal(written.at(-1), line)
  }
})

test('a flush leaves nothing behind, and writes nothing twice', () => {
  const { output, written, flushed } = outputInto()
  output.write('last\n')
  output.flushSync()
  output.flushSync()
  assert.deepEqual(written, ['last\n'])
  assert.equal(flushed(), 2)
})
