/**
 * `npm test`: makes sure that what the tests start is there, then hands over to node:test, whose summary closes the
 * output. One file at a time: many tests measure how fast something takes over, on machines of two cores.
 */
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { ensureKafkaJars } from './parts/kafka-jars.ts'
import { projectRoot } from './paths.ts'
import { ensureTool } from './tools.ts'

const folders = ['backend/src', 'simulation', 'local', 'nginx', 'seeds', 'tests', 'bench']
const patterns = folders.map((folder) => `${folder}/**/*.test.ts`)
const testTimeoutMs = 600_000

const progress = (line: string): void => console.log(line)
await ensureTool('java', progress)
await ensureTool('nginx', progress)
await ensureKafkaJars(progress)

const given = process.argv.slice(2)
const files = given.some((argument) => !argument.startsWith('-')) ? [] : patterns
const options = ['--test', '--test-reporter=spec', '--test-concurrency=1', `--test-timeout=${testTimeoutMs}`]
const child = spawn(process.execPath, [...options, ...given, ...files], {
  cwd: projectRoot,
  stdio: 'inherit',
})
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => child.kill(name))
child.once('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal ?? 'SIGKILL']))
