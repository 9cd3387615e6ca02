/** Programs that only measurements need: wrk, and PostgreSQL's pgbench. */

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { ensureTool } from '../local/tools.ts'

/** Debian keeps the programs of each major version in a folder of its own. */
const debianFolder = '/usr/lib/postgresql'

/** The path of a program, which is installed if it is missing and that is possible. */
export async function findTool(name: 'wrk' | 'pgbench'): Promise<string> {
  return (name === 'pgbench' && findPgbench()) || ensureTool(name, (line) => console.log(line))
}

function findPgbench(): string | undefined {
  if (!existsSync(debianFolder)) return undefined
  return readdirSync(debianFolder)
    .toSorted((a, b) => Number(b) - Number(a))
    .map((version) => join(debianFolder, version, 'bin/pgbench'))
    .find((path) => existsSync(path))
}
