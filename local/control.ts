/**
 * How `npm run local -- …` reaches the runner: a unix-domain socket in the state folder, one JSON line each way.
 * Both ends enter the folder and use the short name, because a socket's path may have no more than 107 bytes.
 */
import { rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import type { Server } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

export type ControlRequest = { command: string; name?: string }
export type ControlAnswer = { ok: true; parts?: PartStatus[] } | { ok: false; error: string }

export type PartStatus = {
  name: string
  state: string
  port: number
  pid?: number
  runningSeconds?: number
  memoryMb?: number
  restarts: number
}

const socketName = 'control.sock'
const requestBytesMax = 10_000

/** Serves requests until the server is closed. The caller holds the folder's lock, so an old socket is stale. */
export async function serveControl(
  folder: string,
  handle: (request: ControlRequest) => Promise<ControlAnswer>,
): Promise<Server> {
  process.chdir(folder)
  rmSync(socketName, { force: true })
  const server = createServer((socket) => {
    let received = ''
    socket.on('error', () => {})
    socket.setEncoding('utf8')
    socket.on('data', (chunk: string) => {
      received += chunk
      if (received.length > requestBytesMax) socket.destroy()
      if (!received.endsWith('\n')) return
      void answer(received, handle).then((reply) => socket.end(`${JSON.stringify(reply)}\n`))
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(socketName, resolve)
  })
  process.on('exit', () => rmSync(join(folder, socketName), { force: true }))
  return server
}

/** Asks the runner; undefined when none runs. */
export async function askRunner(folder: string, request: ControlRequest): Promise<ControlAnswer | undefined> {
  process.chdir(folder)
  const socket = connect(socketName)
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.once('connect', resolve)
    })
  } catch {
    return undefined
  }
  socket.write(`${JSON.stringify(request)}\n`)
  const reply = await text(socket)
  return reply === '' ? { ok: false, error: 'the runner ended' } : (JSON.parse(reply) as ControlAnswer)
}

async function answer(
  line: string,
  handle: (request: ControlRequest) => Promise<ControlAnswer>,
): Promise<ControlAnswer> {
  try {
    return await handle(JSON.parse(line) as ControlRequest)
  } catch (error) {
    return { ok: false, error: error instanceof Error ? error.message : String(error) }
  }
}
