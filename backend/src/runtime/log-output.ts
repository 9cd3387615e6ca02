/**
 * Log lines on their way to the standard output, written together: a write for each would cost more than its request.
 *
 * Invariant: a line waits for `flushMs` at most, and none is left behind by `flushSync`. Lines are joined only when they
 * are written; pino's own destination joins them one by one, and copies what has gathered with each line.
 */

export const linesMax = 128
export const flushMs = 100

interface Destination {
  write(text: string): unknown
  flushSync(): void
}

export class LogOutput {
  readonly #destination: Destination
  #lines: string[] = []
  #timer: NodeJS.Timeout | undefined

  constructor(destination: Destination) {
    this.#destination = destination
  }

  write(line: string): void {
    this.#lines.push(line)
    if (this.#lines.length >= linesMax) this.#flush()
    else this.#timer ??= setTimeout(() => this.#flush(), flushMs).unref()
  }

  /** Writes what waits before it returns; pino calls it before the process ends by an error. */
  flushSync(): void {
    this.#flush()
    this.#destination.flushSync()
  }

  #flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#lines.length === 0) return
    this.#destination.write(this.#lines.join(''))
    this.#lines = []
  }
}
