import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { freePort, isListening } from './ports.ts'

const host = '127.0.0.1'

test('asking whether a program listens takes the port from nobody', async () => {
  const port = await freePort()
  for (let start = 0; start < 50; start++) {
    const asked = Array.from({ length: 10 }, () => isListening(port, host))
    const server = createServer().listen(port, host)
    await once(server, 'listening')
    assert.equal(await isListening(port, host), true)
    await Promise.all(asked)
    server.close()
    await once(server, 'close')
    assert.equal(await isListening(port, host), false)
  }
})
