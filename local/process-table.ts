/**
 * What the operating system says about processes. A process is named by its pid *and* its start time, because
 * pids are used again: a pid read from a file of an earlier run may belong to anybody by now, and killing it
 * would hit a stranger. Zombies count as gone: where nothing reaps orphans (a container without an init) they
 * stay in the table for ever.
 *
 * Linux is read from /proc (slim containers have no `ps`), other systems through `ps`.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'

export type ProcessInfo = {
  pid: number
  parent: number
  group: number
  startTime: string
  command: string
}

const hasProc = existsSync('/proc/self/stat')

/** The living process with this pid, or undefined. */
export function findProcess(pid: number): ProcessInfo | undefined {
  if (hasProc) return readProc(pid)
  return listWithPs(['-p', String(pid)])[0]
}

/** All living processes. */
export function listProcesses(): ProcessInfo[] {
  if (!hasProc) return listWithPs(['-A'])
  const found: ProcessInfo[] = []
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    const info = readProc(Number(entry))
    if (info) found.push(info)
  }
  return found
}

/**
 * The processes that belong to `root`: its descendants and its process group, children before grandchildren,
 * `root` itself first. PostgreSQL's children leave the group, NGINX's workers outlive a killed master: neither
 * the tree nor the group alone finds everything.
 */
export function processTree(root: number, processes = listProcesses()): ProcessInfo[] {
  const members = new Map<number, ProcessInfo>()
  const add = (info: ProcessInfo): void => {
    if (members.has(info.pid)) return
    members.set(info.pid, info)
    for (const child of processes) if (child.parent === info.pid) add(child)
  }
  for (const info of processes) if (info.pid === root) add(info)
  for (const info of processes) if (info.group === root) add(info)
  return [...members.values()]
}

/** The working folder of a process, or undefined where that cannot be known. */
export function workingFolder(pid: number): string | undefined {
  if (!hasProc) return undefined
  try {
    return readlinkSync(`/proc/${pid}/cwd`)
  } catch {
    return undefined
  }
}

/** Memory of a process and all that belongs to it, in megabytes; pages they share count once where that is told. */
export function memoryMb(root: number): number {
  let kilobytes = 0
  for (const { pid } of processTree(root)) {
    const share = /^Pss:\s+(\d+)/m.exec(readText(`/proc/${pid}/smaps_rollup`))?.[1]
    const resident = share ?? /^VmRSS:\s+(\d+)/m.exec(readText(`/proc/${pid}/status`))?.[1]
    kilobytes += Number(resident ?? 0)
  }
  return Math.round(kilobytes / 1024)
}

/** Sends a signal and says whether the process was there to get it. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    process.kill(pid, name)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    return ''
  }
}

function readProc(pid: number): ProcessInfo | undefined {
  const stat = readText(`/proc/${pid}/stat`)
  if (stat === '') return undefined
  // The command stands in parentheses and may hold spaces and parentheses itself: fields count from the last one.
  const open = stat.indexOf('(')
  const close = stat.lastIndexOf(')')
  const fields = stat.slice(close + 2).split(' ')
  const [state, parent, group] = fields
  const startTime = fields[19]
  if (state === undefined || state === 'Z' || state === 'X' || startTime === undefined) return undefined
  return {
    pid,
    parent: Number(parent),
    group: Number(group),
    startTime,
    command: stat.slice(open + 1, close),
  }
}

function listWithPs(selection: string[]): ProcessInfo[] {
  const columns = ['pid=', 'ppid=', 'pgid=', 'state=', 'lstart=', 'comm='].flatMap((column) => ['-o', column])
  const output = spawnSync('ps', [...selection, ...columns], {
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C' },
  })
  const found: ProcessInfo[] = []
  for (const line of (output.stdout ?? '').split('\n')) {
    const match = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(\S+\s+\S+\s+\S+\s+\S+\s+\d{4})\s+(.*)$/.exec(line)
    if (!match || match[4]?.startsWith('Z')) continue
    const [, pid, parent, group, , startTime = '', command = ''] = match
    found.push({
      pid: Number(pid),
      parent: Number(parent),
      group: Number(group),
      startTime,
      command: command.split('/').at(-1) ?? command,
    })
  }
  return found
}
