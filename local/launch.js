/**
 * What npm's scripts call. Plain JavaScript without dependencies that any Node from 18 on runs: it brings in the
 * dependencies, among them Node 24, and hands over to that.
 *
 * It never ends before its child: Ctrl-C reaches both, and a shell that got its prompt back while the parts are
 * still being stopped would be told a lie.
 */
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const nodeVersionMin = 18
const parentCheckIntervalMs = 250
const root = dirname(dirname(fileURLToPath(import.meta.url)))
const node = join(root, 'node_modules', 'node', 'bin', 'node')
const lockFile = join(root, 'package-lock.json')
const stampFile = join(root, 'node_modules', '.meridian-installed')

/** Installs the dependencies unless exactly those of package-lock.json are there. */
function installDependencies() {
  const wanted = createHash('sha256').update(readFileSync(lockFile)).digest('hex')
  if (existsSync(node) && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === wanted) return
  if (existsSync(node) && installedByHand()) {
    writeFileSync(stampFile, wanted)
    return
  }
  const began = Date.now()
  process.stderr.write('Installing npm dependencies … ')
  const done = npm('ci')
  if (done.status !== 0 || !existsSync(node)) {
    const reason = done.error ? done.error.message : `${done.stdout}${done.stderr}`
    process.stderr.write(`failed\n${reason}\n`)
    process.exit(1)
  }
  writeFileSync(stampFile, wanted)
  process.stderr.write(`done (${((Date.now() - began) / 1000).toFixed(1)} s)\n`)
}

function npm(...command) {
  const script = process.env.npm_execpath
  const [file, first] = script ? [process.execPath, [script]] : ['npm', []]
  return spawnSync(file, [...first, ...command, '--include=dev', '--include=optional', '--loglevel=error'], {
    cwd: root,
    encoding: 'utf8',
  })
}

/** Whether `npm ci` or `npm install` has already put the packages of package-lock.json into node_modules. */
function installedByHand() {
  const copy = join(root, 'node_modules', '.package-lock.json')
  if (!existsSync(copy)) return false
  const installed = JSON.parse(readFileSync(copy, 'utf8')).packages
  const wanted = JSON.parse(readFileSync(lockFile, 'utf8')).packages
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '' || entry.link || !path.startsWith('node_modules/')) return true
    const found = installed[path]
    return found ? found.version === entry.version : entry.optional === true && !isForThisMachine(entry)
  })
}

/** Whether a package that names its platforms names this one. */
function isForThisMachine({ os, cpu, libc }) {
  const runsHere = os?.includes(process.platform) && cpu?.includes(process.arch)
  return runsHere && (libc === undefined || libc.includes('glibc'))
}

/** The script for a command, and what it is given. `start` alone runs the system, `start NAME` is for a running one. */
function target(command, args) {
  if (command === 'start' && args.length === 0) return ['main.ts']
  if (command === 'test') return ['test.ts', ...args]
  if (command === 'check') return ['check.ts', ...args]
  if (command === 'simulate') return ['../simulation/main.ts', ...args]
  if (command === 'prove') return ['../tests/prove/main.ts', ...args]
  if (command === 'bench') return ['../bench/main.ts', ...args]
  return ['cli.ts', command ?? 'help', ...args]
}

function run([script, ...args]) {
  const child = spawn(node, [join(root, 'local', script), ...args], { stdio: 'inherit' })
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => child.kill(name))
  if (process.env.npm_lifecycle_event) stopWithParent(child)
  child.once('error', (error) => {
    process.stderr.write(`${node} cannot be run: ${error.message}\n`)
    process.exit(1)
  })
  child.once('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]))
}

/** A SIGTERM to npm ends npm and its shell without a word to what they run: their end has to be noticed. */
function stopWithParent(child) {
  const parent = process.ppid
  const timer = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(timer)
    child.kill('SIGTERM')
  }, parentCheckIntervalMs)
}

if (Number(process.versions.node.split('.')[0]) < nodeVersionMin) {
  process.stderr.write(`Node ${nodeVersionMin} or newer is needed, this is ${process.version}\n`)
  process.exit(1)
}
const [command, ...args] = process.argv.slice(2)
installDependencies()
run(target(command, args))
