/**
 * `npm run simulate -- [--seed N] [--histories M]`: runs histories from a seed on. One alone is told step by step; the
 * first that fails is shrunk, and told. Ends with 1 if one failed.
 */

import { parseArgs } from 'node:util'
import { runHistory } from './history.ts'
import { makePlan, type Plan, type Step } from './plan.ts'
import { runMany, type Totals } from './run-many.ts'
import { shrink } from './shrink.ts'

const usage = 'usage: npm run simulate -- [--seed N] [--histories M] [--no-shrink]'
const seedMax = 0xffff_ffff

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    histories: { type: 'string', default: '1' },
    'no-shrink': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

function wholeNumber(text: string, least: number): number {
  const number = Number(text)
  if (Number.isInteger(number) && number >= least && number <= seedMax) return number
  console.error(usage)
  return process.exit(64) // EX_USAGE of sysexits(3)
}

const seed = values.seed === undefined ? Date.now() % 1_000_000 : wholeNumber(values.seed, 0)
const histories = wholeNumber(values.histories, 1)

const describeStep = (step: Step): string => {
  const { kind, atMs, ...rest } = step
  return `  ${String(atMs).padStart(6)} ms  ${kind} ${JSON.stringify(rest)}`
}

function describePlan({ steps, ...plan }: Plan): string {
  return [JSON.stringify(plan), ...steps.map(describeStep)].join('\n')
}

function summary({ histories: ran, ...totals }: Totals, seconds: number): string {
  const rate = (ran / seconds).toFixed(0)
  return [
    `${ran} histories from seed ${seed} on in ${seconds.toFixed(1)} s: ${rate}/s, ${(totals.virtualMs / 1000 / seconds).toFixed(0)} times real time`,
    `${totals.twins} requests accepted by two regions, ${totals.conflicts} conflict records, ${totals.deletes} deletes, ${totals.restores} restored`,
    `${totals.integerHistories} histories with bare integers; ${totals.integerExceptions} writes in them superseded what their client had not seen`,
    `${totals.failures.length} failed`,
  ].join('\n')
}

async function tell(plan: Plan): Promise<readonly string[]> {
  console.log(`${describePlan(plan)}\n`)
  const { problems, virtualMs, events } = await runHistory(plan, console.log)
  console.log(`\n${(virtualMs / 1000).toFixed(3)} s, ${events} events`)
  for (const problem of problems) console.log(`PROBLEM  ${problem}`)
  if (problems.length === 0) console.log('all invariants hold')
  return problems
}

async function tellShrunk(plan: Plan): Promise<void> {
  const small = await shrink(await runHistory(plan))
  console.log(`\nShrunk from ${plan.steps.length} steps to ${small.plan.steps.length}:\n`)
  await tell(small.plan)
}

if (values.help) console.log(usage)
else if (histories === 1) {
  const problems = await tell(makePlan(seed))
  if (problems.length > 0 && !values['no-shrink']) await tellShrunk(makePlan(seed))
  process.exitCode = problems.length > 0 ? 1 : 0
} else {
  const began = performance.now()
  const totals = await runMany({ seed, histories, stopAtFailure: false })
  for (const failure of totals.failures.slice(0, 5)) {
    console.log(`seed ${failure.seed}: ${failure.problems[0]}`)
  }
  console.log(summary(totals, (performance.now() - began) / 1000))
  const [first] = totals.failures
  if (first && !values['no-shrink']) await tellShrunk(makePlan(first.seed))
  process.exitCode = first ? 1 : 0
}
