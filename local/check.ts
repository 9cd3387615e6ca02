/** `npm run check`: types, lint, format, and who may import whom. Runs all of them, fails if any does. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { findForbiddenImports } from './import-rule.ts'
import { projectRoot } from './paths.ts'
import { seconds } from './tools.ts'

const tools: Array<[string, string, ...string[]]> = [
  ['types', 'tsc', '-p', '.'],
  ['lint', 'oxlint', '--deny-warnings', '--type-aware'],
  ['format', 'oxfmt', '--check', '.'],
]

let failed = false

function report(what: string, ok: boolean, began: number): void {
  if (!ok) failed = true
  console.log(`${ok ? 'ok    ' : 'FAILED'}  ${what} (${seconds(began)})`)
}

for (const [what, program, ...args] of tools) {
  const began = performance.now()
  const file = join(projectRoot, 'node_modules/.bin', program)
  const done = spawnSync(file, args, { cwd: projectRoot, encoding: 'utf8', env: withProjectNode() })
  if (done.status !== 0) console.log(done.error?.message ?? `${done.stdout}${done.stderr}`)
  report(what, done.status === 0, began)
}
const importsBegan = performance.now()
const forbidden = findForbiddenImports(join(projectRoot, 'backend/src'))
for (const line of forbidden) console.log(line)
report('imports', forbidden.length === 0, importsBegan)
process.exitCode = failed ? 1 : 0

/** The tools' own start scripts ask for `node`: that has to be the one which npm brought. */
function withProjectNode(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${join(projectRoot, 'node_modules/.bin')}:${process.env['PATH'] ?? ''}` }
}
