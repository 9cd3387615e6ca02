/** `npm run local -- COMMAND`: acts on the parts of a running system, reads logs, clears data. */
import { createReadStream, existsSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { askRunner } from './control.ts'
import type { PartStatus } from './control.ts'
import { stateFolder, stateLink } from './paths.ts'
import { readPidFile, releaseLock, sweepParts, takeLock } from './pid-file.ts'
import { tail } from './process.ts'

const help = `
npm start                           starts everything; Ctrl-C stops it
npm run local -- status [--json]    the parts, their state, port, pid and memory
npm run local -- stop NAME          stops a part in order; it stays down until it is started
npm run local -- start NAME         starts it again
npm run local -- kill NAME          SIGKILL: as in a crash; it stays down until it is started
npm run local -- pause NAME         SIGSTOP: it hangs, and its connections stay open
npm run local -- resume NAME        SIGCONT
npm run local -- logs NAME [-f]     its log; -f follows it
npm run local -- reset              clears all data (not while it runs)

NAME: nginx, kafka, postgres-us, postgres-eu, backend-us, backend-eu
      (backend-us-2, backend-eu-2 with BACKENDS_PER_REGION=2)
`
const logTailBytes = 20_000
const followIntervalMs = 200
const columnWidths = [16, 12, 7, 9, 10, 9]

const [command = 'help', ...args] = process.argv.slice(2)
try {
  await run()
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
}

async function run(): Promise<void> {
  switch (command) {
    case 'help':
    case '--help':
    case '-h':
      return console.log(help)
    case 'status':
      return showStatus(await ask('status'))
    case 'stop':
    case 'start':
    case 'kill':
    case 'pause':
    case 'resume': {
      const [part] = await ask(command, requireName())
      return console.log(`${part?.name} is ${part?.state}`)
    }
    case 'logs':
      return showLog(requireName(), args.includes('-f'))
    case 'reset':
      return reset()
    default:
      throw new Error(`Unknown command "${command}"\n${help}`)
  }
}

async function ask(request: string, name?: string): Promise<PartStatus[]> {
  const answer = await askRunner(stateFolder(), { command: request, ...(name !== undefined && { name }) })
  if (!answer) throw new Error('Nothing runs here: "npm start" starts it')
  if (!answer.ok) throw new Error(answer.error)
  return answer.parts ?? []
}

function requireName(): string {
  const name = args.find((argument) => !argument.startsWith('-'))
  if (name === undefined) throw new Error(`Which part? npm run local -- ${command} NAME\n${help}`)
  return name
}

function showStatus(parts: PartStatus[]): void {
  if (args.includes('--json')) return console.log(JSON.stringify(parts, null, 2))
  console.log(row(['NAME', 'STATE', 'PORT', 'PID', 'UP', 'MEMORY', 'RESTARTS']))
  for (const { name, state, port, pid, runningSeconds, memoryMb, restarts } of parts) {
    const up = runningSeconds === undefined ? '-' : `${runningSeconds} s`
    const memory = memoryMb === undefined ? '-' : `${memoryMb} MB`
    console.log(row([name, state, String(port), String(pid ?? '-'), up, memory, String(restarts)]))
  }
}

function row(cells: string[]): string {
  return cells
    .map((cell, index) => cell.padEnd(columnWidths[index] ?? 0))
    .join('')
    .trimEnd()
}

async function showLog(name: string, follow: boolean): Promise<void> {
  const parts = join(stateFolder(), 'parts')
  const file = join(parts, name, `${name}.log`)
  if (!/^[\w-]+$/.test(name) || !existsSync(file)) {
    const known = existsSync(parts) ? readdirSync(parts).join(', ') : 'none yet'
    throw new Error(`There is no log of "${name}". Logs: ${known}`)
  }
  process.stdout.write(tail(file, logTailBytes))
  if (follow) await followLog(file)
}

async function followLog(file: string): Promise<never> {
  let shown = statSync(file).size
  for (;;) {
    const size = statSync(file).size
    if (size < shown) shown = 0
    if (size > shown) {
      for await (const chunk of createReadStream(file, { start: shown, end: size - 1 }))
        process.stdout.write(chunk)
      shown = size
    }
    await delay(followIntervalMs)
  }
}

async function reset(): Promise<void> {
  const state = stateFolder()
  const lock = join(state, 'runner.json')
  if (!takeLock(lock)) {
    throw new Error(`It runs (pid ${readPidFile(lock)?.pid}): stop it first, then reset`)
  }
  try {
    await sweepParts(join(state, 'parts'))
    rmSync(join(state, 'parts'), { recursive: true, force: true })
    console.log(`The data in ${stateLink} is cleared; what was downloaded is kept`)
  } finally {
    releaseLock(lock)
  }
}
