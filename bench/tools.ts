/** The programs that make load: wrk, and PostgreSQL's pgbench. */

import { execFile } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ensureTool } from '../local/tools.ts'

type Tool = 'wrk' | 'pgbench'

/** Debian keeps the programs of each major version in a folder of its own. */
const debianFolder = '/usr/lib/postgresql'

const execute = promisify(execFile)
const threadsMax = 2
const endTimeoutMs = 60_000
const outputBytesMax = 10_000_000

export const threadsFor = (clients: number): number => Math.min(threadsMax, clients)

/** As both take them. */
export const wholeSeconds = (seconds: number): number => Math.max(1, Math.round(seconds))

/** What the program prints; it is killed if it has not ended long after its `seconds`. */
export async function runTool(
  name: Tool,
  args: readonly (string | number)[],
  { env, seconds }: { readonly env: NodeJS.ProcessEnv; readonly seconds: number | undefined },
): Promise<{ stdout: string; stderr: string }> {
  const timeout = seconds === undefined ? undefined : seconds * 1_000 + endTimeoutMs
  return execute(await findTool(name), args.map(String), { env, timeout, maxBuffer: outputBytesMax })
}

/** The path of a program, which is installed if it is missing and that is possible. */
async function findTool(name: Tool): Promise<string> {
  return (name === 'pgbench' && findPgbench()) || ensureTool(name, (line) => console.log(line))
}

function findPgbench(): string | undefined {
  if (!existsSync(debianFolder)) return undefined
  return readdirSync(debianFolder)
    .toSorted((a, b) => Number(b) - Number(a))
    .map((version) => join(debianFolder, version, 'bin/pgbench'))
    .find((path) => existsSync(path))
}
