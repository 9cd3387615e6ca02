/** What `npm run prove` is asked to do. */

import { randomInt } from 'node:crypto'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { stateFolder } from '../../local/paths.ts'
import { scenarios } from './plan.ts'

export type Wanted = {
  readonly minutes: number
  readonly seed: number
  readonly scenario: string
  readonly target: 'local' | 'compose'
  /** Backends in each region; undefined for half of the run with one and half with two. */
  readonly backends: number | undefined
  readonly out: string
}

const seedMax = 2 ** 32

export const usage = `npm run prove -- [--minutes N] [--seed N] [--scenario NAME] [--backends 1|2] [--target local|compose] [--out DIR]

  --minutes   length of the load with faults (3)
  --seed      chooses faults, victims and times; a random one is told
  --scenario  ${scenarios.join(', ')} (all)
  --backends  in each region; half of the run with 1 and half with 2 if absent
  --target    local starts a system of its own, compose breaks the one that runs (local)
  --out       folder for record.json and report.html (.meridian/prove/<seed>)`

/** @throws if the arguments mean nothing. */
export function parseWanted(args: readonly string[]): Wanted | undefined {
  const string = { type: 'string' } as const
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { ...string, default: '3' },
      seed: string,
      scenario: { ...string, default: 'all' },
      backends: string,
      target: { ...string, default: 'local' },
      out: string,
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return undefined
  const minutes = Number(values.minutes)
  if (!(minutes > 0)) throw new Error(`--minutes ${values.minutes} is no length of time`)
  const seed = values.seed === undefined ? randomInt(seedMax) : Number(values.seed)
  if (!Number.isInteger(seed) || seed < 0 || seed >= seedMax) throw new Error(`--seed is 0 to ${seedMax - 1}`)
  if (!scenarios.includes(values.scenario)) throw new Error(`--scenario is one of ${scenarios.join(', ')}`)
  const { target } = values
  if (target !== 'local' && target !== 'compose') throw new Error('--target is local or compose')
  const backends = values.backends === undefined ? undefined : Number(values.backends)
  if (backends !== undefined && backends !== 1 && backends !== 2) throw new Error('--backends is 1 or 2')
  const out = values.out ?? join(stateFolder(), 'prove', String(seed))
  return { minutes, seed, scenario: values.scenario, target, backends, out }
}
