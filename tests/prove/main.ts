/** `npm run prove`: breaks a real system while clients write, and says whether anything was lost. Exit code 1 if so. */

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseWanted, usage, type Wanted } from './arguments.ts'
import { renderPage } from './page.ts'
import type { RunRecord } from './record.ts'
import { runProof } from './run.ts'
import { summarize } from './summary.ts'

function wantedOrExit(): Wanted {
  try {
    const wanted = parseWanted(process.argv.slice(2))
    if (wanted) return wanted
    console.log(usage)
    process.exit(0)
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`)
    process.exit(2)
  }
}

function verdict(record: RunRecord, out: string): string {
  const { acknowledged, lost, faults, recoveries, failuresDirect, failuresThrough, reasons, unresolved } =
    summarize(record)
  const more = [
    ...(wanted.backends === undefined ? [] : [`--backends ${wanted.backends}`]),
    ...(wanted.target === 'local' ? [] : [`--target ${wanted.target}`]),
  ]
  const lines = [
    '',
    `${faults} faults, ${acknowledged} writes acknowledged, ${lost} lost or doubled`,
    `requests that failed and were sent again: ${failuresThrough} through NGINX, ${failuresDirect} at single backends`,
    ...reasons.map(({ during, reason, count }) => `  ${count} × ${reason} (${during})`),
    ...(unresolved > 0 ? [`${unresolved} writes given up without an answer`] : []),
    'recovery, seconds from the healing on (median, worst):',
    ...recoveries.map(
      ({ name, count, medianS, worstS }) =>
        `  ${name.padEnd(28)} ${String(count).padStart(4)} ×  ${medianS.toFixed(1)}  ${worstS.toFixed(1)}`,
    ),
    ...record.problems.map(({ check, text }) => `PROBLEM  ${check}: ${text}`),
    `load average ${Math.max(0, ...record.epochs.map(({ loadAverage }) => loadAverage)).toFixed(1)} on ${record.cores} cores`,
    `report: ${join(out, 'report.html')}`,
    record.passed
      ? `PASSED with seed ${record.seed}`
      : `FAILED: repeat with ${[`--seed ${record.seed} --minutes ${record.minutes} --scenario ${record.scenario}`, ...more].join(' ')}`,
  ]
  return lines.join('\n')
}

const wanted = wantedOrExit()
console.log(
  `seed ${wanted.seed}, scenario ${wanted.scenario}, ${wanted.minutes} min, target ${wanted.target}`,
)
const record = await runProof(wanted, (line) => console.log(line))
mkdirSync(wanted.out, { recursive: true })
writeFileSync(join(wanted.out, 'record.json'), `${JSON.stringify(record)}\n`)
writeFileSync(join(wanted.out, 'report.html'), renderPage(record))
console.log(verdict(record, wanted.out))
process.exitCode = record.passed ? 0 : 1
