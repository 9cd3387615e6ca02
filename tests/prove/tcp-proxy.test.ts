/** The broken ways behave as their names say, seen by a client and a server that echoes. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from '../../local/ports.ts'
import { waitUntil } from '../../local/wait.ts'
import { TcpProxy } from './tcp-proxy.ts'

const silenceMs = 150

async function echoBehindProxy(t: TestContext) {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const port = await freePort()
  const proxy = await TcpProxy.open((server.address() as AddressInfo).port, port)
  const client = (): Socket => {
    const socket = connect(port, '127.0.0.1')
    t.after(() => socket.destroy())
    return socket
  }
  t.after(async () => {
    await proxy.close()
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { proxy, client }
}

async function echoMs(socket: Socket): Promise<number> {
  const began = performance.now()
  socket.write('word')
  const [answer] = (await once(socket, 'data')) as [Buffer]
  assert.equal(answer.toString(), 'word')
  return performance.now() - began
}

async function isReset(socket: Socket): Promise<boolean> {
  const closed = new Promise<boolean>((resolve) => {
    socket.once('error', () => {})
    socket.once('close', () => resolve(true))
  })
  return Promise.race([closed, delay(2_000, false)])
}

test('open passes on, delay passes on later, in order', async (t) => {
  const { proxy, client } = await echoBehindProxy(t)
  const socket = client()
  await echoMs(socket)
  proxy.set({ delayMs: 60 })
  assert.ok((await echoMs(socket)) >= 118)
  socket.write('first ')
  proxy.set('open')
  socket.write('second')
  let received = ''
  while (received.length < 12) received += String((await once(socket, 'data'))[0])
  assert.equal(received, 'first second')
})

test('cut resets what is there and what comes', async (t) => {
  const { proxy, client } = await echoBehindProxy(t)
  const socket = client()
  await echoMs(socket)
  const gone = isReset(socket)
  proxy.set('cut')
  assert.ok(await gone)
  assert.ok(await isReset(client()))
  proxy.set('open')
  await echoMs(client())
})

test('half-open accepts, swallows, and resets when it heals', async (t) => {
  const { proxy, client } = await echoBehindProxy(t)
  const old = client()
  await echoMs(old)
  proxy.set('half-open')
  const fresh = client()
  await once(fresh, 'connect')
  let heard = false
  for (const socket of [old, fresh]) {
    socket.on('data', () => {
      heard = true
    })
    socket.write('word')
  }
  await delay(silenceMs)
  assert.ok(!heard && !old.destroyed && !fresh.destroyed)
  const gone = Promise.all([isReset(old), isReset(fresh)])
  proxy.set('open')
  assert.deepEqual(await gone, [true, true])
  await echoMs(client())
})

test('bytes keep their order when a delay ends amid them, however busy the process is', async (t) => {
  const { proxy, client } = await echoBehindProxy(t)
  const socket = client()
  await echoMs(socket)
  const busy = await busyPeer(t, 20)
  let received = ''
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString()
  })
  let sent = ''
  const send = (): void => {
    const word = `${sent.length} `
    sent += word
    socket.write(word)
  }
  for (let round = 0; round < 50; round++) {
    proxy.set({ delayMs: 8 })
    send()
    await delay(3)
    proxy.set('open')
    // Both are read in one turn, this one first: when it is through, the word that was delayed is due, and the next one here.
    busy.write('x')
    send()
    await delay(2)
  }
  await waitUntil(() => received.length >= sent.length, { timeoutMs: 5_000, what: 'everything to arrive' })
  assert.equal(received, sent)
})

/** A connection to a peer in this process that blocks it for so long whenever it reads something. */
async function busyPeer(t: TestContext, blockMs: number): Promise<Socket> {
  const server = createServer((peer) => {
    peer.on('data', () => {
      const began = performance.now()
      while (performance.now() - began < blockMs);
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  await once(socket, 'connect')
  t.after(() => {
    socket.destroy()
    server.close()
  })
  return socket
}
