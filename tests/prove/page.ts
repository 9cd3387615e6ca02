/**
 * A run as one HTML page that needs nothing else: verdict, timeline, tables. All text from the record is escaped.
 *
 * Everything on the timeline shares one axis of time, so a fault's band runs down through every chart.
 */

import type { EpochRecord, FaultRecord, LagSample, Problem, RunRecord } from './record.ts'
import { timeOf } from './run.ts'
import { summarize, type Summary } from './summary.ts'
import { bandColours, faultLanes, lineChart, timeAxis, type Line } from './svg.ts'

const regionColours: Readonly<Record<string, string>> = { us: '#1d5fbf', eu: '#c2570c' }
/** More samples than this per line say nothing more on a screen. */
const pointsMax = 900

export function renderPage(record: RunRecord): string {
  const summary = summarize(record)
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Meridian: prove, seed ${record.seed}</title>
<meta name="viewport" content="width=device-width"><style>${style}</style></head><body>
<h1>Meridian under faults <span class="${record.passed ? 'good' : 'bad'}">${record.passed ? 'PASSED' : 'FAILED'}</span></h1>
<p>Real PostgreSQL, Kafka, NGINX and backends, broken while clients wrote. Seed ${record.seed}, scenario
${text(record.scenario)}, ${record.minutes} minutes, ${text(record.target)}, begun ${text(record.startedAt)}.
The machine has ${record.cores} cores. Times are minutes:seconds since then.</p>
${tiles(summary, record)}
${problems(record.problems)}
<h2>Timeline</h2>
${legend()}
${timeline(record)}
<h2>Recovery</h2>
<p>Seconds from the moment when the part was started again or let go, until every region answered its own clients and
every backend reported a lag below 1 s. A part's own start is included (Kafka needs 9 s after a kill).</p>
${recoveryTable(summary)}
${reasonTable(summary)}
<h2>Audits</h2>
<p>After each stretch of load everything is healed, both databases are compared row by row, and what they hold is compared
with every answer that a client got.</p>
${epochTable(record.epochs)}
<h2>Every fault</h2>
${faultTable(record.faults)}
</body></html>
`
}

function text(raw: string): string {
  return raw.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}

function tiles(summary: Summary, { samples }: RunRecord): string {
  const worstLag = Math.max(0, ...samples.map(({ lag }) => lag ?? 0))
  const shown: ReadonlyArray<readonly [string, string, string]> = [
    [
      String(summary.lost),
      'lost or doubled',
      'findings of the audits: acknowledged writes that are gone, or in effect twice',
    ],
    [
      summary.acknowledged.toLocaleString('en'),
      'writes acknowledged',
      'answered 200 or 204, or 422 with their own success',
    ],
    [String(summary.faults), 'faults', ''],
    [
      summary.failuresThrough.toLocaleString('en'),
      'requests failed through NGINX',
      'attempts without an outcome; sent again with the same X-Request-ID',
    ],
    [
      String(summary.twins),
      'twins on record',
      'one request accepted by two regions, found and noted as duplicate',
    ],
    [summary.conflicts.toLocaleString('en'), 'conflicts on record', 'values that lost to a concurrent write'],
    [`${worstLag.toFixed(1)} s`, 'greatest lag', ''],
  ]
  const tile = ([figure, name, why]: readonly [string, string, string]): string =>
    `<div title="${text(why)}"><b>${figure}</b>${name}<small>${text(why)}</small></div>`
  return `<section class="tiles">${shown.map(tile).join('')}</section>`
}

function problems(all: readonly Problem[]): string {
  if (all.length === 0) return ''
  const item = ({ check, at, text: what }: Problem): string =>
    `<li><b>${text(check)}</b> (found at ${timeOf(at)}): <pre>${text(what)}</pre></li>`
  return `<h2>What is wrong</h2><ul class="problems">${all.map(item).join('')}</ul>`
}

function legend(): string {
  const swatches = Object.entries(bandColours).map(
    ([kind, colour]) => `<span><i style="background:${colour}"></i>${kind}</span>`,
  )
  return `<p class="legend">Bands are faults, from the breaking to the healing; the pale tail is the time until the system
had recovered. ${swatches.join(' ')}<br>kill: SIGKILL, started again at the end of the band. freeze: SIGSTOP, SIGCONT. cut: connections
are reset and refused. half-open: they stay, and nothing comes through. delay: everything comes late. wal-sender: the
session that streams the replication slot is ended, three times. Point at a band or a line for figures. Gaps between
stretches: the regions are compared, or a system is started.</p>`
}

function timeline({ faults, seconds, samples, failures, durationMs }: RunRecord): string {
  const frame = { durationMs, faults }
  const bySecond = (of: (second: RunRecord['seconds'][number]) => number | undefined): Line['points'] =>
    thinned(
      seconds.map((second) => [second.at, of(second)] as const),
      durationMs,
    )
  const failed = (direct: boolean): Line['points'] => {
    const counts = Map.groupBy(
      failures.filter((failure) => failure.direct === direct),
      ({ at }) => Math.floor(at / 1_000),
    )
    return thinned(
      seconds.map(({ at }) => [at, counts.get(Math.floor(at / 1_000))?.length ?? 0] as const),
      durationMs,
    )
  }
  const byRegion = (of: (sample: LagSample) => number | null | undefined): Line[] =>
    Object.entries(regionColours).map(([region, colour]) => ({
      name: region,
      colour,
      points: thinned(
        samples
          .filter((sample) => sample.region === region)
          .map((sample) => [sample.at, of(sample) ?? undefined]),
        durationMs,
      ),
    }))
  const charts = [
    faultLanes(frame),
    lineChart(frame, 'Writes acknowledged per second', [
      { name: 'all clients', colour: '#15803d', points: bySecond(({ acknowledged }) => acknowledged) },
    ]),
    lineChart(frame, 'Requests failed per second (each was sent again)', [
      { name: 'through NGINX', colour: '#b91c1c', points: failed(false) },
      { name: 'at single backends', colour: '#a8a29e', points: failed(true) },
    ]),
    lineChart(
      frame,
      'Latency of writes, ms (with their retries; logarithmic)',
      [
        { name: 'p50', colour: '#0f766e', points: bySecond(({ p50 }) => p50) },
        { name: 'p99', colour: '#7c3aed', points: bySecond(({ p99 }) => p99) },
      ],
      'logarithmic',
    ),
    lineChart(
      frame,
      'Replication lag as each region reports it, s (gap: no answer)',
      byRegion(({ lag }) => lag),
    ),
    lineChart(
      frame,
      'True age of the oldest acknowledged write not merged here, s: never well above the lag',
      byRegion(({ age }) => age),
    ),
    lineChart(
      frame,
      'Divergence: acknowledged writes of the other region not merged here yet',
      byRegion(({ unmerged }) => unmerged),
    ),
    timeAxis(frame),
  ]
  return `<div class="timeline">${charts.join('')}</div>`
}

/** At most so many points, each the greatest of its stretch; a stretch without any value is a gap. */
function thinned(points: Line['points'], durationMs: number): Line['points'] {
  if (points.length <= pointsMax) return points
  const stretches = Map.groupBy(points, ([at]) => Math.floor((at / durationMs) * pointsMax))
  return [...stretches.values()].map((stretch) => {
    const values = stretch.flatMap(([, value]) => value ?? [])
    return [stretch[0]?.[0] ?? 0, values.length === 0 ? undefined : Math.max(...values)] as const
  })
}

function table(heads: readonly string[], rows: ReadonlyArray<readonly string[]>): string {
  const cells = (tag: string, row: readonly string[]): string =>
    `<tr>${row.map((cell) => `<${tag}>${text(cell)}</${tag}>`).join('')}</tr>`
  return `<table>${cells('th', heads)}${rows.map((row) => cells('td', row)).join('')}</table>`
}

function recoveryTable({ recoveries }: Summary): string {
  return table(
    ['fault', 'times', 'median s', 'worst s', 'requests failed through NGINX meanwhile'],
    recoveries.map(({ name, count, medianS, worstS, failed }) => [
      name,
      String(count),
      medianS.toFixed(1),
      worstS.toFixed(1),
      String(failed),
    ]),
  )
}

function reasonTable({ reasons }: Summary): string {
  if (reasons.length === 0) return ''
  return `<h2>Requests that failed through NGINX</h2>
<p>Attempts without an outcome, by what was gone. Nothing may fail here for want of a single backend.</p>
${table(
  ['times', 'what the client saw', 'what was gone'],
  reasons.map(({ during, reason, count }) => [String(count), reason, during]),
)}`
}

function epochTable(epochs: readonly EpochRecord[]): string {
  return table(
    [
      'from',
      'to',
      'backends per region',
      'acknowledged',
      'accepted',
      'deletes',
      'twins',
      'conflicts',
      'answers compared',
      'equal after ms',
      'load average',
    ],
    epochs.map(({ beganAt, endedAt, backendsPerRegion, audit, equalAfterMs, observations, loadAverage }) => [
      timeOf(beganAt),
      timeOf(endedAt),
      String(backendsPerRegion),
      String(audit.acknowledged),
      String(audit.accepted),
      String(audit.deletes),
      String(audit.twins),
      String(audit.conflicts),
      String(observations),
      equalAfterMs === undefined ? 'never' : String(Math.round(equalAfterMs)),
      loadAverage.toFixed(1),
    ]),
  )
}

function faultTable(faults: readonly FaultRecord[]): string {
  return table(
    ['step', 'at', 'fault', 'victim', 'held s', 'recovered after s'],
    faults.map(({ step, kind, victim, beganAt, healedAt, recoveredAt }) => [
      String(step),
      timeOf(beganAt),
      kind,
      victim,
      ((healedAt - beganAt) / 1_000).toFixed(1),
      recoveredAt === undefined ? 'never' : ((recoveredAt - healedAt) / 1_000).toFixed(1),
    ]),
  )
}

const style = `
body{font:14px/1.5 system-ui,sans-serif;color:#1c1917;background:#fafaf9;max-width:1240px;margin:24px auto;padding:0 16px}
h1{font-size:26px} h2{margin-top:32px;font-size:18px} .good{color:#15803d} .bad{color:#b91c1c}
.tiles{display:flex;flex-wrap:wrap;gap:12px} .tiles div{background:#fff;border:1px solid #e7e5e4;border-radius:8px;padding:10px 12px;flex:1 1 120px}
.tiles b{display:block;font-size:24px} .tiles small{display:block;color:#78716c;line-height:1.3}
.legend span{white-space:nowrap;margin-right:10px} .legend i{display:inline-block;width:14px;height:12px;margin-right:4px;vertical-align:-1px}
.timeline{background:#fff;border:1px solid #e7e5e4;border-radius:8px;padding:8px;overflow-x:auto} svg{display:block;min-width:900px;width:100%;height:auto}
table{border-collapse:collapse;background:#fff} td,th{border:1px solid #e7e5e4;padding:3px 10px;text-align:left} th{background:#f5f5f4}
pre{white-space:pre-wrap;margin:0} .problems li{margin-bottom:8px}
`
