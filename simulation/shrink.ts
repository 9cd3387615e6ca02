/**
 * Makes a failing plan smaller: fewer steps, fewer attempts, fewer regions, no skew.
 *
 * Invariant: the result fails with the same kind of problem as the plan that was given.
 */

import { runHistory, type Result } from './history.ts'
import type { Plan, Step } from './plan.ts'

/** Histories that shrinking may run. */
const runsMax = 600

/** A problem without its names and numbers. */
export const kindOf = (problem: string): string =>
  (problem.split('\n', 1)[0] ?? '')
    .replace(/^[a-z]{2}: /, '')
    .replaceAll(/"[^"]*"|\b[a-z]+\d+\b|\b[a-z]{2}\.a1\b|\b(us|eu|ap)\b|[\d.:]+/g, '')
    .trim()

export async function shrink(failing: Result): Promise<Result> {
  const kind = kindOf(failing.problems[0] ?? '')
  let best = failing
  let runs = 0
  const isSmaller = async (plan: Plan): Promise<boolean> => {
    if (runs++ >= runsMax) return false
    const result = await runHistory(plan)
    if (!result.problems.some((problem) => kindOf(problem) === kind)) return false
    best = result
    return true
  }
  let before = -1
  while (before !== sizeOf(best.plan)) {
    before = sizeOf(best.plan)
    await dropSteps(() => best.plan, isSmaller)
    for (const simplify of simplifications) {
      const simpler = simplify(best.plan)
      if (JSON.stringify(simpler) !== JSON.stringify(best.plan)) await isSmaller(simpler)
    }
    for (const step of best.plan.steps) {
      if (step.kind !== 'write' || step.attempts.length < 2) continue
      const replaced: Step = { ...step, attempts: step.attempts.slice(0, -1) }
      await isSmaller({
        ...best.plan,
        steps: best.plan.steps.map((each) => (each === step ? replaced : each)),
      })
    }
  }
  return best
}

/** Leaves out runs of steps, long ones first. */
async function dropSteps(current: () => Plan, isSmaller: (plan: Plan) => Promise<boolean>): Promise<void> {
  for (let length = Math.ceil(current().steps.length / 2); length >= 1; length = Math.floor(length / 2)) {
    let from = 0
    while (from < current().steps.length) {
      const { steps } = current()
      if (!(await isSmaller({ ...current(), steps: steps.toSpliced(from, length) }))) from += length
    }
  }
}

const simplifications: readonly ((plan: Plan) => Plan)[] = [
  (plan) => ({ ...plan, backendsPerRegion: 1, steps: plan.steps.map(toFirstNode) }),
  (plan) => ({ ...plan, skews: {} }),
  (plan) => ({ ...plan, durationMs: (plan.steps.at(-1)?.atMs ?? 0) + 100 }),
  ({ regions, ...plan }) => {
    const named = JSON.stringify(plan.steps)
    const needed = regions.filter((region) => named.includes(`"${region}`))
    const others = regions.filter((region) => !needed.includes(region))
    return { ...plan, regions: [...needed, ...others.slice(0, Math.max(0, 2 - needed.length))] }
  },
]

const toFirstNode = (step: Step): Step =>
  'node' in step ? { ...step, node: `${step.node.split('/')[0]}/0` } : step

const sizeOf = (plan: Plan): number => JSON.stringify(plan).length
