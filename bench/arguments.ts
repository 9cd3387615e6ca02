/** What `npm run bench` is asked to do. */

import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { projectRoot } from '../local/paths.ts'
import type { Size } from './figure.ts'

export type Wanted = {
  readonly size: Size
  /** Names of figures; all if undefined. */
  readonly only: readonly string[] | undefined
  /** Folder for the report; undefined where nothing is to be written. */
  readonly out: string | undefined
  readonly rounds: number
  /** Length of one measurement; by size if undefined. */
  readonly seconds: number | undefined
  readonly profile: string | undefined
}

const docs = join(projectRoot, 'docs')

export function usage(names: readonly string[]): string {
  return `npm run bench [-- --quick | --long] [--only NAME,…] [--rounds N] [--seconds N] [--out DIR] [--profile NAME]

  --quick    all figures in short, about two minutes; writes no report unless --out is given
  --long     also those that take long at their full size: 2 million updates, ten minutes without Kafka
  --only     ${names.join(', ')}
  --rounds   measurements of each figure and its anchor (3, quick: 2)
  --seconds  length of one measurement (5, quick: 1)
  --out      folder for benchmarks.md, benchmarks.svg and benchmarks.json (docs after a run of all figures)
  --profile  runs one figure once and prints where the first backend's and PostgreSQL's time went`
}

/** @throws if the arguments mean nothing. */
export function parseWanted(args: readonly string[], names: readonly string[]): Wanted | undefined {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean', default: false } as const
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: flag,
      long: flag,
      help: flag,
      only: text,
      rounds: text,
      seconds: text,
      out: text,
      profile: text,
    },
  })
  if (values.help) return undefined
  if (values.quick && values.long) throw new Error('--quick and --long exclude each other')
  const only = values.profile === undefined ? values.only?.split(',') : [values.profile]
  for (const name of only ?? []) {
    if (!names.includes(name)) throw new Error(`there is no figure "${name}"`)
  }
  const size = values.quick ? 'quick' : values.long ? 'long' : 'full'
  const isWhole = only === undefined && size !== 'quick'
  return {
    size,
    only,
    out: values.out ?? (isWhole ? docs : undefined),
    rounds:
      values.profile === undefined
        ? positive('--rounds', values.rounds ?? (size === 'quick' ? '2' : '3'))
        : 1,
    seconds: values.seconds === undefined ? undefined : positive('--seconds', values.seconds),
    profile: values.profile,
  }
}

function positive(name: string, text: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && value > 0) return value
  throw new Error(`${name} must be a positive integer, not "${text}"`)
}
