/**
 * The proof of the proof: planted bugs are found. A simulation that finds nothing says something only if it would.
 */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startTestServer, type TestServer } from '../backend/src/testing/database.ts'
import { mutants, type Mutant } from './mutants.ts'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const mutate = join(root, 'simulation', 'mutate.ts')
const huntTimeoutMs = 300_000

let server: TestServer
let databaseUrl: string
before(async () => {
  server = await startTestServer()
  databaseUrl = await server.createDatabase()
})
after(() => server?.stop())

function runMutated(mutant: Mutant, args: readonly string[]): Promise<{ failed: boolean; output: string }> {
  return new Promise((resolve) => {
    const env = { ...process.env, MUTANT: mutant.name, TEST_DATABASE_URL: databaseUrl }
    // A test runner that starts another one tells it to report in its own format.
    delete (env as NodeJS.ProcessEnv)['NODE_TEST_CONTEXT']
    const child = ['--import', mutate, ...args]
    execFile(process.execPath, child, { cwd: root, env, timeout: huntTimeoutMs }, (error, stdout, stderr) =>
      resolve({ failed: error !== null, output: `${stdout}${stderr}` }),
    )
  })
}

async function findBySimulation(mutant: Mutant): Promise<string> {
  const { failed, output } = await runMutated(mutant, [join(root, 'simulation', 'hunt.ts')])
  assert.equal(failed, false, output)
  const found = JSON.parse(output.trim().split('\n').at(-1) ?? '') as {
    seed: number | null
    problem: string | null
  }
  assert.notEqual(found.seed, null, 'no history fails')
  return `seed ${found.seed}: ${found.problem}`
}

async function findByTest(mutant: Mutant, caughtBy: { test: string; name: string }): Promise<string> {
  const file = join(root, 'backend/src', caughtBy.test)
  const pattern = `--test-name-pattern=^${RegExp.escape(caughtBy.name)}$`
  const { failed, output } = await runMutated(mutant, ['--test-reporter=tap', pattern, file])
  assert.ok(!output.includes('exactly once'), output)
  assert.ok(failed && output.includes('not ok 1'), output)
  return `${caughtBy.test}: "${caughtBy.name}"`
}

suite(`${mutants.length} planted bugs are caught`, { concurrency: availableParallelism() }, () => {
  for (const mutant of mutants) {
    test(mutant.name, async (context) => {
      const { caughtBy } = mutant
      const how =
        caughtBy === 'simulation' ? await findBySimulation(mutant) : await findByTest(mutant, caughtBy)
      context.diagnostic(how)
    })
  }
})
