import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import { flushMs, linesMax, LogOutput } from './log-output.ts'

/** An output, what it has written so far, and what it tells of losses. */
function outputInto() {
  const written: string[] = []
  const lost: number[] = []
  let flushed = 0
  const destination = Object.assign(new EventEmitter(), {
    write: (text: string) => written.push(text),
    flushSync: () => flushed++,
  })
  const output = new LogOutput(destination, (characters) => lost.push(characters))
  return { output, written, destination, lost, flushed: () => flushed }
}

test('lines are written together, when there are many', () => {
  const { output, written } = outputInto()
  const lines = Array.from({ length: linesMax + 1 }, (_, n) => `line ${n}\n`)
  for (const line of lines) output.write(line)
  assert.deepEqual(written, [lines.slice(0, linesMax).join('')])
  output.flushAtExit()
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
  output.flushAtExit()
  output.flushAtExit()
  assert.deepEqual(written, ['last\n'])
  assert.equal(flushed(), 2)
})

test('an orderly stop waits for the reader, but not for ever, and not for nothing', async () => {
  const { output, written, destination, flushed } = outputInto()
  await output.drained(60_000)
  output.write('last\n')
  let isDrained = false
  const drained = output.drained(60_000).then(() => (isDrained = true))
  await new Promise(setImmediate)
  assert.deepEqual(written, ['last\n'])
  assert.equal(isDrained, false)
  destination.emit('drain')
  await drained
  output.write('nobody reads this\n')
  await output.drained(1)
  output.flushAtExit()
  assert.equal(flushed(), 0, 'the end of the process waits for nobody either')
})

test('what is lost is told once the reader is back', () => {
  const { output, destination, lost } = outputInto()
  output.write('x\n')
  output.flushAtExit()
  destination.emit('drop', 'twelve chars')
  destination.emit('drop', '34')
  assert.deepEqual(lost, [])
  destination.emit('drain')
  destination.emit('drain')
  assert.deepEqual(lost, [14])
})
