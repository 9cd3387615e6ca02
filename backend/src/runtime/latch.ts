/** A condition that one side raises and others await; raising it before anybody waits lets the next wait pass. */
export class Latch {
  #raised = false
  #waiters: (() => void)[] = []

  /** Wakes everybody who waits, or the next one who will. */
  raise(): void {
    this.#raised = this.#waiters.length === 0
    for (const wake of this.#waiters.splice(0)) wake()
  }

  wait(): Promise<void> {
    if (this.#raised) {
      this.#raised = false
      return Promise.resolve()
    }
    return new Promise((resolve) => {
      this.#waiters.push(resolve)
    })
  }
}
