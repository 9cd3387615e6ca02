/** The plain Express application in a process of its own. */

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

/** Runs `work` with the application's address. */
export async function withHello<T>(work: (url: string) => Promise<T>): Promise<T> {
  const child = fork(join(import.meta.dirname, 'hello-server.ts'), { execArgv: [] })
  try {
    const [port] = (await once(child, 'message')) as [number]
    return await work(`http://127.0.0.1:${port}`)
  } finally {
    child.kill()
  }
}
