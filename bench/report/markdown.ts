/** `docs/benchmarks.md` from a run's record. Pure. */

import { judge, type Row } from '../figure.ts'
import { threeDigits } from '../statistics.ts'
import type { RunRecord } from './record.ts'
import { goalText, metText, rangeText, withUnit } from './texts.ts'

const header = ['figure', 'value', 'anchor', 'ratio', 'spread', 'goal', '']

/** The whole page; `picture` is the SVG's file name. */
export function renderMarkdown(record: RunRecord, picture: string): string {
  return `${[
    '# Benchmarks',
    introduction(record),
    `![Each figure's share of its goal](${picture})`,
    table(record.rows),
    notes(record.rows),
    howMeasured(record),
    machineText(record),
    limits,
    repeat,
  ]
    .filter((part) => part !== '')
    .join('\n\n')}\n`
}

function introduction({ failures, overloads }: RunRecord): string {
  const lines = [
    'Each figure is a ratio: what the system does, over what an anchor does on the same machine and the same database ' +
      'server in the same run, in turns. Ratios depend less on the machine than absolute numbers do; its number of cores still ' +
      'matters. Written by `npm run bench`; a run counts only if every acknowledged write is found in the database, once, ' +
      'and the regions are equal after the figures that replicate.',
  ]
  for (const { figure, reason } of failures) lines.push(`**Failed: ${figure}** (${reason})`)
  if (overloads > 0) lines.push(`${overloads} writes were answered with 429 or 503 in all measurements.`)
  return lines.join('\n\n')
}

function table(rows: readonly Row[]): string {
  const lines = rows.map((row, index) => {
    const { value, anchor, judged, spread, met } = judge(row)
    const noted = row.note === undefined ? '' : ` [${noteNumber(rows, index)}]`
    return [
      `${row.title}${noted}`,
      withUnit(value, row.unit),
      row.anchor === undefined || anchor === undefined
        ? '–'
        : `${withUnit(anchor, row.unit)}<br>${row.anchor.title}`,
      anchor === undefined ? '–' : `**${threeDigits(judged)}**`,
      rangeText(spread),
      goalText(row.goal, anchor === undefined ? row.unit : undefined) || '–',
      metText(met),
    ]
  })
  return [header, header.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

function noteNumber(rows: readonly Row[], index: number): number {
  return rows.slice(0, index + 1).filter(({ note }) => note !== undefined).length
}

function notes(rows: readonly Row[]): string {
  return rows
    .flatMap(({ note }) => (note === undefined ? [] : [note]))
    .map((note, index) => `[${index + 1}] ${note}`)
    .join('<br>\n')
}

function howMeasured({ rounds, seconds, size }: RunRecord): string {
  const scaled = {
    quick: 'This was a `--quick` run: everything in small, for a first impression.',
    full:
      'Two goals speak of more than a usual run does, which `--long` takes the time for: 2 million updates and ten ' +
      'minutes without Kafka. The lines say what was run.',
    long: 'This was a `--long` run, with everything at its full size.',
  }
  return `## How it is measured

- PostgreSQL, Kafka, NGINX and the backends run as \`npm start\` runs them: \`fsync\` and \`synchronous_commit\` on, the
  request log on. One setting differs: the slot may hold back more WAL, as some figures write for long without Kafka.
- Value and anchor are medians of ${rounds} rounds of ${seconds} s after a warm-up; the ratio is the median of the rounds' own
  ratios, the spread their least and greatest. In each round both are measured, one after the other; who comes
  first changes with every round.
- Load over HTTP comes from \`wrk\`: each connection owns properties, knows their versions, sends a fresh random
  \`X-Request-ID\`. On hot properties it goes on from the state that a 409 carries.
- \`pgbench\` runs the backend's own statement, prepared, one write and one commit each, straight on PostgreSQL. It sends
  plain parameters and no guard, and changes the price as the other side does; the second in which it prepares its
  statements does not count.
- Writes against pgbench are measured on one region alone, since pgbench does not replicate either. Without replication
  means that Kafka and the other region's backend are frozen.
- "Visible" is the time between two commits, of the write's claim here and there, as PostgreSQL keeps them
  (\`track_commit_timestamp\`). Load at a fixed rate comes with random pauses.
- Native replication is PostgreSQL's own (\`CREATE SUBSCRIPTION\`) with its defaults, between the same two servers, of a
  backlog of the same statement.
- ${scaled[size]}`
}

function machineText({ machine, at, commit, minutes }: RunRecord): string {
  const { cores, processor, memoryGb, system, loadAverage, flushMs, programs } = machine
  const versions = Object.entries(programs).map(([name, version]) => `${name} ${version}`)
  return `## The machine

${cores} cores of ${processor}, ${memoryGb} GB, ${system}, a flush of 8 KB in ${flushMs} ms; ${versions.join(', ')}.
Everything runs on it at once: load, backends, databases and Kafka. ${at.slice(0, 10)}${commit === undefined ? '' : `, commit ${commit}`}, ${Math.round(minutes)} minutes, load
average before the run ${loadAverage}.`
}

const limits = `## What limits

- **Writes**: the processor. Group commit takes the flush out of the way, so that a backend's one thread (HTTP, JSON, the
  request log) and PostgreSQL's share of the machine are what is left; more backends help where there are more cores.
- **A write alone** passes three processes, of which each has to wake up, and Express; pgbench passes two.
- **Replication** costs what decoding, Kafka and the merge cost: with few cores they take it from the writes.
- **Hot properties**: the row's lock. A batch takes each property once, so one property is written once a commit.
- **Reads**: one thread. Besides Express, whose bare answer is the anchor, a read is looked up, logged and counted.
- **Catch-up**: the processor. An event passes the WAL sender, the relay, Kafka, the applier and the database that merges
  it; native replication has two processes, and no log in between from which other regions could read.`

const repeat = `## Repeat it

\`\`\`
npm run bench                       # all of it, and this page
npm run bench -- --quick            # in small, writes nothing
npm run bench -- --only put,get     # some figures
npm run bench -- --long             # with 2 million updates and ten minutes without Kafka
npm run bench -- --profile put      # where the time goes
\`\`\`

\`wrk\` and \`pgbench\` are needed; on Debian and Ubuntu they are installed if they are missing. Nothing else should run
meanwhile: the spread tells how quiet the machine was. Numbers of every round are in \`benchmarks.json\`.`
