/** What the runner does when `npm run local -- …` asks. */
import type { ControlAnswer, ControlRequest, PartStatus } from './control.ts'
import { memoryMb } from './process-table.ts'
import type { SupervisedPart } from './supervised-part.ts'

/** Carries out a request on the named part. */
export async function answerControl(
  { command, name }: ControlRequest,
  supervised: Map<string, SupervisedPart>,
): Promise<ControlAnswer> {
  if (command === 'status') return { ok: true, parts: [...supervised.values()].map(statusOf) }
  const one = supervised.get(name ?? '')
  if (!one) {
    return {
      ok: false,
      error: `There is no part "${name ?? ''}". Parts: ${[...supervised.keys()].join(', ')}`,
    }
  }
  switch (command) {
    case 'start':
      await one.start()
      break
    case 'stop':
      await one.stop()
      break
    case 'kill':
      await one.kill()
      break
    case 'pause':
      one.pause()
      break
    case 'resume':
      one.resume()
      break
    default:
      return { ok: false, error: `Unknown command "${command}"` }
  }
  return { ok: true, parts: [statusOf(one)] }
}

function statusOf({ part, state, runningSince, restarts }: SupervisedPart): PartStatus {
  const { name, port, pid } = part
  return {
    name,
    state,
    port,
    restarts,
    ...(pid !== undefined && { pid, memoryMb: memoryMb(pid) }),
    ...(runningSince > 0 && { runningSeconds: Math.round((Date.now() - runningSince) / 1_000) }),
  }
}
