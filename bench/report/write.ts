/** Puts a run's report into a folder. */

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { renderMarkdown } from './markdown.ts'
import type { RunRecord } from './record.ts'
import { renderSvg } from './svg.ts'

const picture = 'benchmarks.svg'

/** Returns the page's path. */
export function writeReport(folder: string, record: RunRecord): string {
  mkdirSync(folder, { recursive: true })
  const page = join(folder, 'benchmarks.md')
  writeFileSync(page, renderMarkdown(record, picture))
  writeFileSync(join(folder, picture), renderSvg(record.rows))
  writeFileSync(join(folder, 'benchmarks.json'), `${JSON.stringify(record, null, 2)}\n`)
  return page
}
