/**
 * Programs that npm does not bring: Java and Maven for Kafka, NGINX, and what measurements need. What is missing is
 * installed where that is possible without asking (root on Debian or Ubuntu); elsewhere the error is the exact command
 * to type.
 */
import { execFile } from 'node:child_process'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { findProgram } from './unprivileged.ts'

export type Progress = (line: string) => void

type Tool = { program: string; what: string; apt: string[]; dnf: string; brew: string }

const tools = {
  java: {
    program: 'java',
    what: 'Java 17 or newer (for Kafka)',
    apt: ['openjdk-21-jre-headless', 'openjdk-17-jre-headless'],
    dnf: 'java-21-openjdk-headless',
    brew: 'openjdk@21',
  },
  maven: {
    program: 'mvn',
    what: "Maven (fetches Kafka's jars, once)",
    apt: ['maven'],
    dnf: 'maven',
    brew: 'maven',
  },
  nginx: { program: 'nginx', what: 'NGINX', apt: ['nginx-light', 'nginx'], dnf: 'nginx', brew: 'nginx' },
  // For measurements only.
  wrk: { program: 'wrk', what: 'wrk (makes load)', apt: ['wrk'], dnf: 'wrk', brew: 'wrk' },
  pgbench: {
    program: 'pgbench',
    what: "PostgreSQL's pgbench",
    apt: ['postgresql-contrib'],
    dnf: 'postgresql-contrib',
    brew: 'postgresql',
  },
} satisfies Record<string, Tool>

const javaVersionMin = 17
const aptTimeoutMs = 300_000
const policyFile = '/usr/sbin/policy-rc.d'
const execute = promisify(execFile)
let aptListsFresh = false
/** apt-get holds a lock: one installation after the other. */
let lastInstallation: Promise<unknown> = Promise.resolve()
let aptRuns = false
let ending = false

/** Begins no further step of an installation, and waits for the one under way: half a package would break apt-get itself. */
export async function endInstallations(progress: Progress): Promise<void> {
  ending = true
  if (aptRuns) progress('Waiting for apt-get to end …')
  await lastInstallation
}

/** The path of a program, which is installed if it is missing and that is possible. */
export async function ensureTool(name: keyof typeof tools, progress: Progress): Promise<string> {
  const tool: Tool = tools[name]
  const found = await findTool(name)
  if (found) return found
  const installation = lastInstallation.then(() => installTool(name, tool, progress))
  lastInstallation = installation.catch(() => {})
  return installation
}

async function installTool(name: keyof typeof tools, tool: Tool, progress: Progress): Promise<string> {
  const found = await findTool(name)
  if (found) return found
  if (process.getuid?.() === 0 && findProgram('apt-get')) {
    const began = performance.now()
    progress(`Installing ${tool.what} with apt-get …`)
    await installWithApt(tool)
    progress(`Installed ${tool.what} (${seconds(began)})`)
    const installed = await findTool(name)
    if (installed) return installed
  }
  throw new Error(`${tool.what} is missing. Install it and start again:\n\n  ${installCommand(tool)}\n`)
}

/** Whether NGINX can be told where to log before it has read its configuration (`-e`, since 1.19.5). */
export async function nginxTakesErrorLog(binary: string): Promise<boolean> {
  const { stderr } = await execute(binary, ['-v'])
  const [major = 0, minor = 0, patch = 0] = (/nginx\/(\d+)\.(\d+)\.(\d+)/.exec(stderr) ?? [])
    .slice(1)
    .map(Number)
  return major > 1 || minor > 19 || (minor === 19 && patch >= 5)
}

/** The time since `began` (of `performance.now()`), for a progress line. */
export function seconds(began: number): string {
  return `${((performance.now() - began) / 1_000).toFixed(1)} s`
}

async function findTool(name: keyof typeof tools): Promise<string | undefined> {
  if (name !== 'java') return findProgram(tools[name].program)
  const home = process.env['JAVA_HOME']
  const candidates = [
    home && `${home}/bin/java`,
    findProgram('java'),
    '/opt/homebrew/opt/openjdk@21/bin/java',
  ]
  for (const java of candidates) if (java && (await javaVersion(java)) >= javaVersionMin) return java
  return undefined
}

async function javaVersion(java: string): Promise<number> {
  try {
    const { stderr } = await execute(java, ['-version'])
    return Number(/version "(\d+)/.exec(stderr)?.[1] ?? 0)
  } catch {
    return 0
  }
}

async function installWithApt(tool: Tool): Promise<void> {
  if (!aptListsFresh) await apt(['update'])
  aptListsFresh = true
  let wanted = tool.apt.at(-1) ?? tool.program
  for (const name of tool.apt.toReversed()) if (await hasCandidate(name)) wanted = name
  // A server's package starts the server as a service: not wanted here, and it would take port 80.
  const forbid = !existsSync(policyFile)
  const allowAgain = (): void => (forbid ? rmSync(policyFile, { force: true }) : undefined)
  process.once('exit', allowAgain)
  try {
    if (forbid) writeFileSync(policyFile, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
    await apt(['install', '-y', '-o', 'DPkg::Lock::Timeout=60', '--no-install-recommends', wanted])
  } finally {
    allowAgain()
    process.off('exit', allowAgain)
  }
}

async function hasCandidate(name: string): Promise<boolean> {
  const { stdout } = await execute('apt-cache', ['policy', name], { env: { ...process.env, LC_ALL: 'C' } })
  return /Candidate: (?!\(none\))/.test(stdout)
}

async function apt(args: string[]): Promise<void> {
  if (ending) throw new Error('stopped before everything was installed')
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  aptRuns = true
  try {
    // In a group of its own: a Ctrl-C of the terminal is not for it.
    await execute('setsid', ['--wait', 'apt-get', ...args], {
      env,
      timeout: aptTimeoutMs,
      maxBuffer: 50_000_000,
    })
  } catch (error) {
    const output = error instanceof Error && 'stderr' in error ? String(error.stderr) : ''
    throw new Error(`apt-get ${args.join(' ')} failed:\n${output}`, { cause: error })
  } finally {
    aptRuns = false
  }
}

function installCommand(tool: Tool): string {
  if (findProgram('apt-get')) return `sudo apt-get install -y ${tool.apt.at(-1)}`
  if (findProgram('dnf')) return `sudo dnf install -y ${tool.dnf}`
  if (findProgram('brew') || process.platform === 'darwin') return `brew install ${tool.brew}`
  return `install ${tool.program} with your system's package manager`
}
