/** `npm run bench`: measures, compares, and writes down. Exit code 1 if a figure could not be measured or was wrong. */

import { parseWanted, usage, type Wanted } from './arguments.ts'
import { figures } from './figures/all.ts'
import { createProfiler } from './profile.ts'
import { runFigures } from './run.ts'
import { measureFlushMs } from './report/flush.ts'
import { currentCommit, describeMachine } from './report/machine.ts'
import { tableOnScreen } from './report/screen.ts'
import { writeReport } from './report/write.ts'

function wantedOrExit(): Wanted {
  const names = figures.map(({ name }) => name)
  try {
    const wanted = parseWanted(process.argv.slice(2), names)
    if (wanted) return wanted
    console.log(usage(names))
    process.exit(0)
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${usage(names)}`)
    process.exit(2)
  }
}

const wanted = wantedOrExit()
const began = performance.now()
const machine = describeMachine(measureFlushMs())
const profiler = wanted.profile === undefined ? undefined : await createProfiler()
const say = (line: string): void => console.log(line)
const { rows, failures, overloads, seconds } = await runFigures(wanted, figures, say, profiler)
console.log(`\n${tableOnScreen(rows)}`)
if (overloads > 0) console.log(`${overloads} writes were answered with 429 or 503`)
if (profiler) console.log(`\n${await profiler.finish()}\n`)
for (const { figure, reason } of failures) console.log(`FAILED  ${figure}: ${reason}`)
if (wanted.out !== undefined) {
  const page = writeReport(wanted.out, {
    at: new Date().toISOString(),
    commit: currentCommit(),
    size: wanted.size,
    rounds: wanted.rounds,
    seconds,
    minutes: (performance.now() - began) / 60_000,
    machine,
    overloads,
    failures,
    rows,
  })
  console.log(`report: ${page}`)
}
process.exit(failures.length > 0 ? 1 : 0)
