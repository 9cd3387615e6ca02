/**
 * Ports. Free ones are drawn from below the range that the system hands out for outgoing connections, so that a
 * client's socket cannot take the port between the check and the child's bind.
 */
import { randomInt } from 'node:crypto'
import { connect, createServer } from 'node:net'

const lowestPort = 15_000
const highestPort = 32_000
const maxDraws = 200
const handedOut = new Set<number>()

/** A port that nothing listens on, different at each call. */
export async function freePort(): Promise<number> {
  for (let draw = 0; draw < maxDraws; draw++) {
    const port = randomInt(lowestPort, highestPort)
    if (handedOut.has(port)) continue
    handedOut.add(port)
    if (await isPortFree(port)) return port
  }
  throw new Error(`No free port found between ${lowestPort} and ${highestPort}`)
}

/** Whether `port` can be bound, on `host` or on every address. */
export async function isPortFree(port: number, host?: string): Promise<boolean> {
  const hosts = host === undefined ? ['127.0.0.1', '0.0.0.0'] : [host]
  for (const address of hosts) if (!(await canBind(port, address))) return false
  return true
}

/** Whether a program accepts connections there. Asking by binding could take the port from one that is about to. */
export async function isListening(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host })
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      resolve(true)
      socket.destroy()
    })
  })
}

async function canBind(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)))
  })
}
