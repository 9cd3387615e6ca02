import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { describeError } from './describe-error.ts'
import { Latch } from './latch.ts'
import { aborted, sleep, supervise, type Service } from './service.ts'

const log = pino({ level: 'silent' })

test('a failed service is started again after growing delays, and a healthy run resets them', async () => {
  const stop = new AbortController()
  const delays: number[] = []
  const restarts: string[] = []
  let time = 0
  let runs = 0
  const service: Service = {
    id: 'flaky',
    run() {
      runs++
      if (runs === 8) time += 60_000
      if (runs === 10) stop.abort()
      return Promise.reject(new Error('broken'))
    },
  }
  await supervise([service], stop.signal, {
    log,
    now: () => time,
    sleep: (ms) => {
      delays.push(ms)
      return Promise.resolve()
    },
    onRestart: (id) => restarts.push(id),
  })
  assert.deepEqual(delays, [100, 200, 400, 800, 1600, 2000, 2000, 100, 200])
  assert.equal(restarts.length, 9)
})

test('all services end when told to stop', async () => {
  const stop = new AbortController()
  const ended: string[] = []
  const service = (id: string): Service => ({
    id,
    async run(signal) {
      await aborted(signal)
      ended.push(id)
    },
  })
  const running = supervise([service('a'), service('b')], stop.signal, {
    log,
    now: Date.now,
    sleep,
    onRestart() {},
  })
  stop.abort()
  await running
  assert.deepEqual(ended, ['a', 'b'])
})

test('a sleep ends early when its signal aborts', async () => {
  const stop = new AbortController()
  const slept = sleep(60_000, stop.signal)
  stop.abort()
  await slept
  await sleep(60_000, stop.signal)
})

test('a latch that was raised lets one wait pass, and wakes all who wait', async () => {
  const latch = new Latch()
  latch.raise()
  latch.raise()
  await latch.wait()
  let woken = 0
  const waits = [latch.wait().then(() => woken++), latch.wait().then(() => woken++)]
  await new Promise(setImmediate)
  assert.equal(woken, 0)
  latch.raise()
  await Promise.all(waits)
  assert.equal(woken, 2)
})

test('an error is described by its distinct causes', () => {
  const refused = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })
  const nested = new AggregateError([new AggregateError([refused, refused]), new Error('late')])
  assert.equal(describeError(nested), 'refused (ECONNREFUSED); late')
  assert.equal(describeError('text'), 'text')
})
