/**
 * `npm start`: the whole system as child processes of this one, on this machine, with its data in `.meridian`.
 *
 * One runner owns the state folder at a time (the lock), cleans up what a crashed one left behind before it starts
 * anything, and leaves no process when it ends, whatever ends it short of SIGKILL.
 */
import { statSync, truncateSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { answers } from './parts/http-probe.ts'
import type { Part } from './parts/part.ts'
import { createStack } from './parts/stack.ts'
import type { Stack } from './parts/stack.ts'
import { serveControl } from './control.ts'
import { stateFolder, stateLink } from './paths.ts'
import { readPidFile, releaseLock, sweepParts, takeLock } from './pid-file.ts'
import { isPortFree } from './ports.ts'
import { killLiving } from './process.ts'
import { processTree, signal } from './process-table.ts'
import { answerControl } from './runner-control.ts'
import { whatToTry } from './screen.ts'
import { planPorts, readSettings } from './settings.ts'
import { SupervisedPart } from './supervised-part.ts'
import { endInstallations, seconds } from './tools.ts'
import { waitUntil } from './wait.ts'

const firstAnswerTimeoutMs = 30_000
/** Relay and applier try again every 2 s at the latest, once Kafka is there. */
const firstLagTimeoutMs = 15_000
const lagAnswerTimeoutMs = 1_000
const shutdownTimeoutMs = 9_500
/** npm, the launcher and the terminal may each deliver the same Ctrl-C. */
const sameSignalMs = 500
const logCheckIntervalMs = 10_000
const runningLogBytesMax = 50_000_000

const began = performance.now()
const say = (line: string): void => console.log(line)
// A closed terminal must not end the runner before it has stopped its parts.
process.stdout.on('error', () => {})
process.stderr.on('error', () => {})
// What tells psql where to connect must not reach the parts, nor the questions that are asked of them here.
for (const name of Object.keys(process.env)) if (name.startsWith('PG')) delete process.env[name]

let stack: Stack | undefined
let stoppingSince: number | undefined
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => void shutDown(name))
process.on('exit', endEverything)

try {
  await main()
} catch (error) {
  if (stoppingSince === undefined) {
    console.error(`\n${error instanceof Error ? error.message : String(error)}`)
    process.exit(1)
  }
}

async function main(): Promise<void> {
  const state = stateFolder()
  claim(state)
  const partsFolder = join(state, 'parts')
  const ended = await sweepParts(partsFolder)
  if (ended > 0) say(`Ended ${ended} processes that an earlier run had left behind`)
  const settings = readSettings()
  const { ports, portSettings } = await planPorts(settings)
  const supervised = new Map<string, SupervisedPart>()
  stack = await createStack({
    dir: partsFolder,
    ports,
    portSettings,
    env: settings.env,
    regions: settings.regions,
    backendsPerRegion: settings.backendsPerRegion,
    host: (await isPortFree(settings.httpPort, '::')) ? '::' : '0.0.0.0',
    progress: say,
    supervise: (part) => {
      const supervision = new SupervisedPart(part, say)
      supervised.set(part.name, supervision)
      return { start: () => startAndSay(supervision), stop: (timeoutMs) => supervision.stop(timeoutMs) }
    },
  })
  await serveControl(state, (request) => answerControl(request, supervised))
  await stack.start()
  const url = `http://localhost:${settings.httpPort}`
  for (const region of settings.regions) {
    const path = `/${region}/health`
    await waitUntil(() => answers(`${stack?.url}${path}`), {
      timeoutMs: firstAnswerTimeoutMs,
      what: `200 from ${path}`,
    })
  }
  // A write that is tried right after this line, and again in another region, is to be known there.
  await waitUntil(async () => (await Promise.all(settings.regions.map(hears))).every(Boolean), {
    timeoutMs: firstLagTimeoutMs,
    what: 'the regions to hear of each other',
  }).catch((error: Error) => say(`\n${error.message}: see npm run local -- logs kafka`))
  say(`\nMeridian answers at ${url} (${seconds(began)})`)
  say(await whatToTry(url, settings.regions))
  const { parts } = stack
  setInterval(() => parts.forEach(boundLog), logCheckIntervalMs).unref()
}

/** Whether a region knows how far it is behind all others. */
async function hears(region: string): Promise<boolean> {
  const answer = await fetch(`${stack?.url}/${region}/replication-lag`, {
    signal: AbortSignal.timeout(lagAnswerTimeoutMs),
  }).catch(() => undefined)
  const lag = answer?.ok ? ((await answer.json()) as { lag_seconds: number | null }) : undefined
  return typeof lag?.lag_seconds === 'number'
}

async function startAndSay(supervision: SupervisedPart): Promise<void> {
  const { name, port } = supervision.part
  const partBegan = performance.now()
  await supervision.start()
  say(`Started ${name.padEnd(14)} port ${String(port).padEnd(5)} (${seconds(partBegan)})`)
}

/** Makes this process the owner of the state folder. */
function claim(state: string): void {
  // Also root must not go on with what another user has begun: that user could not go on after it.
  if (statSync(state).uid !== process.getuid?.()) {
    throw new Error(`${stateLink} belongs to another user: remove it, or run this as that user`)
  }
  const lock = join(state, 'runner.json')
  if (!takeLock(lock)) {
    const pid = readPidFile(lock)?.pid
    throw new Error(
      `It runs already (pid ${pid}): see "npm run local -- status", or stop that one with Ctrl-C`,
    )
  }
  process.on('exit', () => releaseLock(lock))
}

async function shutDown(name: NodeJS.Signals): Promise<void> {
  if (stoppingSince !== undefined) {
    if (performance.now() - stoppingSince < sameSignalMs) return
    say('Killed')
    process.exit(128 + constants.signals[name])
  }
  stoppingSince = performance.now()
  say('\nStopping (Ctrl-C again kills at once) …')
  await endInstallations(say)
  setTimeout(() => {
    say('Not everything stopped in time: killed')
    process.exit(1)
  }, shutdownTimeoutMs).unref()
  try {
    await stack?.stop()
    say(`Stopped in ${seconds(stoppingSince)}; the data stays in ${stateLink}`)
    process.exit(0)
  } catch (error) {
    console.error(error)
    process.exit(1)
  }
}

/** The last resort: the parts' process groups, and whatever else is a child of this process (an install, a fetch). */
function endEverything(): void {
  killLiving()
  for (const info of processTree(process.pid)) if (info.pid !== process.pid) signal(info.pid, 'SIGKILL')
}

function boundLog(part: Part): void {
  const size = statSync(part.logFile, { throwIfNoEntry: false })?.size ?? 0
  if (size > runningLogBytesMax) truncateSync(part.logFile, 0)
}
