/** Runs histories until one fails and says which: `{seed, problem}` as JSON, nulls if none does. For planted bugs. */

import { runHere } from './run-many.ts'

const historiesMax = 2000

const { failures } = await runHere({ seed: 1, histories: historiesMax, stopAtFailure: true })
const [failure] = failures
console.log(
  JSON.stringify({
    seed: failure?.seed ?? null,
    problem: failure?.problems[0]?.split('\n', 1)[0] ?? null,
  }),
)
