/**
 * A pid file names the process that an earlier run left behind. It holds the start time beside the pid, so that
 * a process which merely got the same pid later is never touched; and where the leader is gone but members of
 * its group live on (NGINX's workers after their master was killed), only those are taken that work in the
 * part's own folder.
 */
import { existsSync, linkSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findProcess, listProcesses, processTree, signal, workingFolder } from './process-table.ts'
import type { ProcessInfo } from './process-table.ts'
import { waitUntil } from './wait.ts'

/** The pid file in a part's folder. */
export const pidFileName = 'pid.json'

type PidRecord = { pid: number; startTime: string }

/** How long the processes of an earlier run may take to vanish after SIGKILL. */
const sweepTimeoutMs = 10_000

/** Writes the pid file of a living process. */
export function writePidFile(file: string, pid: number): void {
  const info = findProcess(pid)
  if (info) writeFileSync(file, JSON.stringify({ pid, startTime: info.startTime } satisfies PidRecord))
}

/** The process that the file names, if exactly that one still lives. */
export function readPidFile(file: string): ProcessInfo | undefined {
  const record = readRecord(file)
  const info = record && findProcess(record.pid)
  return info && info.startTime === record.startTime ? info : undefined
}

/** Kills what an earlier run left of the part that works in `folder`, and says how many processes that were. */
export async function sweepPidFile(file: string, folder: string): Promise<number> {
  const record = readRecord(file)
  if (!record) return 0
  const leader = findProcess(record.pid)
  const recycled = leader !== undefined && leader.startTime !== record.startTime
  const left = recycled ? [] : leftovers(record, folder, leader !== undefined)
  await killAll(left)
  rmSync(file, { force: true })
  return left.length
}

/** The same for every part in `partsFolder`. */
export async function sweepParts(partsFolder: string): Promise<number> {
  if (!existsSync(partsFolder)) return 0
  let count = 0
  for (const name of readdirSync(partsFolder)) {
    const folder = join(partsFolder, name)
    count += await sweepPidFile(join(folder, pidFileName), folder)
  }
  return count
}

/** SIGKILL to each of these processes; resolves when all are gone. */
export async function killAll(processes: ProcessInfo[]): Promise<void> {
  for (const info of processes) if (isSame(info)) signal(info.pid, 'SIGKILL')
  await waitUntil(() => !processes.some(isSame), {
    timeoutMs: sweepTimeoutMs,
    intervalMs: 5,
    what: () => `processes ${processes.map((info) => info.pid).join(', ')} to be gone after SIGKILL`,
  })
}

/** Takes a lock unless a living process holds it. It appears with its holder's pid in it, hence the link. */
export function takeLock(lock: string): boolean {
  if (existsSync(lock)) {
    if (readPidFile(lock)) return false
    rmSync(lock, { force: true })
  }
  const mine = `${lock}.${process.pid}`
  writePidFile(mine, process.pid)
  try {
    linkSync(mine, lock)
    return true
  } catch {
    return false
  } finally {
    rmSync(mine, { force: true })
  }
}

/** Gives the lock back if this process holds it. */
export function releaseLock(lock: string): void {
  if (readPidFile(lock)?.pid === process.pid) rmSync(lock, { force: true })
}

function leftovers(record: PidRecord, folder: string, leaderLives: boolean): ProcessInfo[] {
  const processes = listProcesses()
  if (leaderLives) return processTree(record.pid, processes)
  return processes.filter((info) => {
    if (info.group !== record.pid) return false
    const where = workingFolder(info.pid)
    return where === folder || where?.startsWith(`${folder}/`) === true
  })
}

function isSame(info: ProcessInfo): boolean {
  return findProcess(info.pid)?.startTime === info.startTime
}

function readRecord(file: string): PidRecord | undefined {
  try {
    const { pid, startTime } = JSON.parse(readFileSync(file, 'utf8')) as Partial<PidRecord>
    return typeof pid === 'number' && typeof startTime === 'string' ? { pid, startTime } : undefined
  } catch {
    return undefined
  }
}
