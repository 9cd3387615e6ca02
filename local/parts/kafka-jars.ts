/**
 * The broker's jars, fetched once by Maven and shared by every run and test. They appear under their final name
 * only when complete (fetched into a folder beside it, then renamed), and one process fetches at a time.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cacheFolder, projectRoot } from '../paths.ts'
import { releaseLock, takeLock } from '../pid-file.ts'
import { ensureTool, seconds } from '../tools.ts'
import type { Progress } from '../tools.ts'
import { waitUntil } from '../wait.ts'

const pom = join(projectRoot, 'local/kafka/pom.xml')
const fetchTimeoutMs = 300_000

/** The folder with the broker's jars; fetches them if they are not there yet. */
export async function ensureKafkaJars(progress: Progress): Promise<string> {
  const description = readFileSync(pom, 'utf8')
  const version = /<kafka\.version>(.+)<\/kafka\.version>/.exec(description)?.[1] ?? 'unknown'
  const digest = createHash('sha256').update(description).digest('hex')
  const home = join(cacheFolder(), `kafka-${version}`)
  const isComplete = () => existsSync(home) && readStamp(home) === digest
  const lock = `${home}.lock`
  await waitUntil(() => isComplete() || takeLock(lock), {
    timeoutMs: fetchTimeoutMs,
    what: `another process to fetch Kafka's jars (${lock})`,
  })
  try {
    if (!isComplete()) await fetchJars(home, version, digest, progress)
  } finally {
    releaseLock(lock)
  }
  return join(home, 'libs')
}

async function fetchJars(home: string, version: string, digest: string, progress: Progress): Promise<void> {
  await ensureTool('java', progress)
  const maven = await ensureTool('maven', progress)
  const began = performance.now()
  progress(`Fetching Kafka ${version} with Maven …`)
  const unfinished = `${home}.${process.pid}`
  rmSync(unfinished, { recursive: true, force: true })
  mkdirSync(unfinished, { recursive: true })
  const args = ['-B', '-q', '-f', pom, 'dependency:copy-dependencies', '-DincludeScope=runtime']
  try {
    await promisify(execFile)(maven, [...args, `-DoutputDirectory=${join(unfinished, 'libs')}`], {
      cwd: unfinished,
      timeout: fetchTimeoutMs,
    })
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true })
    const output = error instanceof Error && 'stdout' in error ? String(error.stdout) : ''
    throw new Error(`Maven could not fetch Kafka ${version}:\n${output}`, { cause: error })
  }
  writeFileSync(join(unfinished, 'complete'), digest)
  rmSync(home, { recursive: true, force: true })
  renameSync(unfinished, home)
  progress(`Fetched Kafka ${version} (${seconds(began)})`)
}

function readStamp(home: string): string | undefined {
  const stamp = join(home, 'complete')
  return existsSync(stamp) ? readFileSync(stamp, 'utf8') : undefined
}
