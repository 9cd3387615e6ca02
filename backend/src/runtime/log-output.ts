/**
 * Log lines on their way to the standard output, written together: a write for each would cost more than its request.
 *
 * Invariant: a line waits for `flushMs` at most before it is handed to the system, and an orderly stop waits for the
 * reader (`drained`). A reader that is too slow delays no request: what it leaves behind is bounded, and what is lost
 * beyond that is told. In a crash `flushAtExit` hands over what waits, to a reader that is there. Lines are joined only
 * when they are written; pino's own destination joins them one by one, and copies what has gathered with each line.
 */

import { once } from 'node:events'

export const linesMax = 128
export const flushMs = 100

/** An asynchronous one of pino's: `drain` when everything is written, `drop` when it has taken too much already. */
interface Destination extends NodeJS.EventEmitter {
  write(text: string): unknown
  flushSync(): void
}

export class LogOutput {
  readonly #destination: Destination
  #lines: string[] = []
  #timer: NodeJS.Timeout | undefined
  #isWriting = false
  /** Nobody has read in time. */
  #isStuck = false
  #lost = 0

  /** `onLost` is told of characters that nobody read in time, once the destination takes lines again. */
  constructor(destination: Destination, onLost: (characters: number) => void) {
    this.#destination = destination
    destination.on('drop', (text: string) => {
      this.#lost += text.length
    })
    destination.on('drain', () => {
      this.#isWriting = false
      const lost = this.#lost
      this.#lost = 0
      if (lost > 0) onLost(lost)
    })
  }

  write(line: string): void {
    this.#lines.push(line)
    if (this.#lines.length >= linesMax) this.#flush()
    else this.#timer ??= setTimeout(() => this.#flush(), flushMs).unref()
  }

  /** Resolves when all lines so far are written, after `maxMs` at the latest. */
  async drained(maxMs: number): Promise<void> {
    this.#flush()
    if (!this.#isWriting) return
    const signal = AbortSignal.timeout(maxMs)
    await once(this.#destination, 'drain', { signal }).catch(() => (this.#isStuck = true))
  }

  /**
   * Hands over what waits, as the process's last act: it blocks until somebody has read it, unless `drained` has waited
   * in vain. Not named as pino's destinations name it: pino would call it with each fatal line, also while serving.
   */
  flushAtExit(): void {
    if (this.#isStuck) return
    this.#flush()
    this.#destination.flushSync()
  }

  #flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#lines.length === 0) return
    this.#isWriting = true
    this.#destination.write(this.#lines.join(''))
    this.#lines = []
  }
}
