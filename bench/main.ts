/** `npm run bench`: measures, compares, and writes down. Exit code 1 if a figure could not be measured or was wrong. */

import { parseWanted, usage, type Wanted } from './arguments.ts'
import { figures } from './figures/all.ts'
import { runFigures } from './run.ts'
import { tableOnScreen } from './report/screen.ts'

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
const { rows, failures, overloads } = await runFigures(wanted, figures, (line) => console.log(line))
console.log(`\n${tableOnScreen(rows)}`)
if (overloads > 0) console.log(`${overloads} writes were answered with 429 or 503`)
for (const { figure, reason } of failures) console.log(`FAILED  ${figure}: ${reason}`)
process.exitCode = failures.length > 0 ? 1 : 0
process.exit()
