/** How long the disk takes for what every commit waits for. */

import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { median } from '../statistics.ts'

const flushes = 200
const pageBytes = 8_192

/** Median of some flushes, where the databases will lie, in ms. */
export function measureFlushMs(): number {
  const file = join(tmpdir(), `meridian-flush-${process.pid}`)
  const handle = openSync(file, 'w')
  const page = Buffer.alloc(pageBytes, 1)
  const times: number[] = []
  try {
    for (let flush = 0; flush < flushes; flush++) {
      writeSync(handle, page, 0, pageBytes, 0)
      const began = performance.now()
      fdatasyncSync(handle)
      times.push(performance.now() - began)
    }
  } finally {
    closeSync(handle)
    rmSync(file, { force: true })
  }
  return Math.round(median(times) * 1_000) / 1_000
}
