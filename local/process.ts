/**
 * One child process with its log, pid file and life cycle. It runs in a process group of its own, so that Ctrl-C
 * at the terminal reaches the runner alone, which then stops the parts in order. The price is that nothing ends
 * it when its parent does: therefore the exit handlers below, and the pid file for the day when the parent was
 * killed without a chance to run them.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { chownSync, closeSync, mkdirSync, openSync, readSync, statSync, truncateSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Part } from './parts/part.ts'
import { killAll, pidFileName, sweepPidFile, writePidFile } from './pid-file.ts'
import { isPortFree } from './ports.ts'
import { processTree, signal } from './process-table.ts'
import { settlesWithin, waitUntil } from './wait.ts'

export type ProcessSpec = {
  name: string
  /** The part's folder: working folder, pid file and log. */
  dir: string
  port: number
  host: string
  /** What to change when the port is taken, for the error message. */
  portSetting?: string | undefined
  command: () => { file: string; args: string[]; env: NodeJS.ProcessEnv }
  owner?: { uid: number; gid: number } | undefined
  /** What must be there before the process can start, e.g. an initialised data folder. */
  prepare?: () => Promise<void>
  stopSignal: NodeJS.Signals
  stopTimeoutMs: number
  startTimeoutMs: number
  /** True when the part serves; false to be asked again; throws when it never will. */
  probe: () => Promise<boolean>
}

/** A log longer than this is emptied when the part starts. */
export const logBytesMax = 10_000_000
const probeIntervalMs = 50
const portFreeTimeoutMs = 3_000
const logTailBytes = 2_500
const maxTreeRounds = 5

export class ManagedProcess implements Part {
  readonly name: string
  readonly port: number
  readonly logFile: string
  readonly #spec: ProcessSpec
  readonly #pidFile: string
  #child: ChildProcess | undefined
  #exited: Promise<string> = Promise.resolve('it was not started')
  /** Settles when the way to the spawn is over; a stop that comes before then cancels it. */
  #spawning: Promise<void> = Promise.resolve()
  #cancelled = false

  constructor(spec: ProcessSpec) {
    this.name = spec.name
    this.port = spec.port
    this.#spec = spec
    this.#pidFile = join(spec.dir, pidFileName)
    this.logFile = join(spec.dir, `${spec.name}.log`)
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  async start(): Promise<void> {
    const { name, startTimeoutMs, probe } = this.#spec
    if (this.#child) throw new Error(`${name} is running already`)
    this.#cancelled = false
    this.#spawning = this.#spawn()
    await this.#spawning
    const exit = { reason: undefined as string | undefined }
    void this.#exited.then((reason) => {
      exit.reason = reason
      return reason
    })
    const end = performance.now() + startTimeoutMs
    try {
      while (!(await probe())) {
        if (exit.reason !== undefined) throw new Error(`${name} ended before it served: ${exit.reason}`)
        if (performance.now() > end)
          throw new Error(`${name} did not serve within ${startTimeoutMs / 1_000} s`)
        await delay(probeIntervalMs)
      }
    } catch (error) {
      await this.kill()
      throw new Error(`${error instanceof Error ? error.message : String(error)}\n${this.logTail()}`, {
        cause: error,
      })
    }
  }

  async stop(timeoutMs = this.#spec.stopTimeoutMs): Promise<void> {
    this.#cancelled = true
    await settlesWithin(this.#spawning, timeoutMs)
    const child = this.#child
    if (!child?.pid) return this.kill()
    child.ref()
    this.resume()
    signal(child.pid, this.#spec.stopSignal)
    if (await settlesWithin(this.#exited, timeoutMs)) await sweepPidFile(this.#pidFile, this.#spec.dir)
    else await this.kill()
  }

  async kill(): Promise<void> {
    this.#cancelled = true
    const child = this.#child
    if (child?.pid) {
      child.ref()
      const tree = freeze(child.pid)
      for (const info of tree) signal(info.pid, 'SIGKILL')
      await this.#exited
      await killAll(tree)
    }
    // Where the leader had died by itself, its group may live on.
    await sweepPidFile(this.#pidFile, this.#spec.dir)
  }

  pause(): void {
    if (this.#child?.pid) freeze(this.#child.pid)
  }

  resume(): void {
    if (!this.#child?.pid) return
    // Children first: a parent that runs again may miss them and start others.
    for (const info of processTree(this.#child.pid).toReversed()) signal(info.pid, 'SIGCONT')
  }

  whenExited(): Promise<string> {
    this.#child?.ref()
    return this.#exited
  }

  /** The last lines of the log, for an error message. */
  logTail(): string {
    return tail(this.logFile)
  }

  async #spawn(): Promise<void> {
    const { name, dir, owner, port, host, portSetting, command } = this.#spec
    mkdirSync(dir, { recursive: true })
    await sweepPidFile(this.#pidFile, dir)
    await this.#spec.prepare?.()
    if (this.#cancelled) throw new Error(`${name} was stopped while it started`)
    try {
      await waitUntil(() => isPortFree(port, host), { timeoutMs: portFreeTimeoutMs, what: 'the port' })
    } catch (error) {
      throw portBusy(name, port, portSetting, { cause: error })
    }
    const { file, args, env } = command()
    const log = openLog(this.logFile, owner)
    let child: ChildProcess
    try {
      child = spawn(file, args, { cwd: dir, env, detached: true, stdio: ['ignore', log, log], ...owner })
    } finally {
      closeSync(log)
    }
    this.#child = child
    this.#exited = new Promise((resolve) => {
      const ended = (reason: string): void => {
        forget(this)
        this.#child = undefined
        resolve(reason)
      }
      child.once('error', (error) => ended(`${file} could not be run: ${error.message}`))
      child.once('exit', (code, killed) => ended(killed ? `ended by ${killed}` : `exit code ${code}`))
    })
    remember(this)
    if (child.pid !== undefined) writePidFile(this.#pidFile, child.pid)
    // A part that a test forgot must not keep the test process alive; the exit handler below ends it.
    child.unref()
  }
}

/** The error for a taken port, naming the setting that moves the part elsewhere. */
export function portBusy(name: string, port: number, setting?: string, options?: ErrorOptions): Error {
  const cure = setting ? `; stop that, or set ${setting} to another port` : ''
  return new Error(`Port ${port}, wanted by ${name}, is in use by another program${cure}`, options)
}

/** The end of a text file, whole lines. */
export function tail(file: string, bytes = logTailBytes): string {
  let handle: number
  try {
    handle = openSync(file, 'r')
  } catch {
    return ''
  }
  try {
    const size = statSync(file).size
    const start = Math.max(0, size - bytes)
    const buffer = Buffer.alloc(size - start)
    const read = readSync(handle, buffer, 0, buffer.length, start)
    const text = buffer.toString('utf8', 0, read)
    return start > 0 ? text.slice(text.indexOf('\n') + 1) : text
  } finally {
    closeSync(handle)
  }
}

/** Opens a log for appending, so that truncating it while it is written is safe. */
function openLog(file: string, owner: { uid: number; gid: number } | undefined): number {
  const log = openSync(file, 'a')
  if (statSync(file).size > logBytesMax) truncateSync(file, 0)
  // NGINX opens its standard output by name again, as the user that it runs as.
  if (owner) chownSync(file, owner.uid, owner.gid)
  return log
}

/** Stops a tree from the root down, so that nobody forks a child unseen, and returns all of it. */
function freeze(root: number): ReturnType<typeof processTree> {
  signal(root, 'SIGSTOP')
  let tree = processTree(root)
  for (let round = 0; round < maxTreeRounds; round++) {
    for (const info of tree) signal(info.pid, 'SIGSTOP')
    const again = processTree(root)
    if (again.length === tree.length) return again
    tree = again
  }
  return tree
}

const living = new Set<ManagedProcess>()
let handlersInstalled = false

function forget(managed: ManagedProcess): void {
  living.delete(managed)
}

function remember(managed: ManagedProcess): void {
  living.add(managed)
  if (handlersInstalled) return
  handlersInstalled = true
  process.on('exit', killLiving)
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      // Whoever else listens has decided what this signal means.
      if (process.listenerCount(name) > 1) return
      killLiving()
      process.exit(128 + constants.signals[name])
    })
  }
}

/** SIGKILL to everything that this process has started and that still runs; synchronous, for exit handlers. */
export function killLiving(): void {
  for (const managed of living) {
    if (managed.pid === undefined) continue
    for (const info of freeze(managed.pid)) signal(info.pid, 'SIGKILL')
  }
}
