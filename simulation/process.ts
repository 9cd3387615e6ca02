/**
 * An operating-system process as the world sees it: it calls, and is called back.
 *
 * Invariant: everything that a process learns passes through here. A crashed one learns nothing any more, so the code
 * in it never continues; a frozen one learns everything when it resumes, and continues with what it knew before. What
 * a process has sent before it died may still arrive.
 */

import type { Sleep } from '../backend/src/runtime/service.ts'
import type { Random } from './random.ts'
import type { Scheduler } from './scheduler.ts'
import type { Trace } from './trace.ts'

/** What strikes a process at one of its calls: before the call has left it, or when the call has had its effect. */
export interface Ambush {
  readonly call: string
  readonly phase: 'before' | 'after'
  readonly strike: () => void
}

/** How long a message is on its way, µs; a slow one at times overtakes nothing but arrives late. */
const delayUs = [100, 2000] as const
const slowDelayUs = [5000, 60_000] as const
const slowChance = 0.04

export class Process {
  readonly name: string
  readonly #scheduler: Scheduler
  readonly #random: Random
  readonly #trace: Trace
  readonly #onDeath: (() => void)[] = []
  #dead = false
  #frozen: (() => void)[] | undefined
  #ambush: Ambush | undefined

  constructor(name: string, scheduler: Scheduler, random: Random, trace: Trace) {
    this.name = name
    this.#scheduler = scheduler
    this.#random = random
    this.#trace = trace
  }

  get alive(): boolean {
    return !this.#dead
  }

  get frozen(): boolean {
    return this.#frozen !== undefined
  }

  delay(): number {
    const [least, most] = this.#random.chance(slowChance) ? slowDelayUs : delayUs
    return this.#random.between(least, most)
  }

  lieInWait(ambush: Ambush): void {
    this.#ambush = ambush
  }

  /** What the world does when it notices the death: connections close. */
  onDeath(notice: () => void): void {
    this.#onDeath.push(notice)
  }

  crash(): void {
    if (this.#dead) return
    this.#trace(this.name, 'crashes')
    this.#dead = true
    this.#frozen = undefined
    for (const notice of this.#onDeath) this.#scheduler.after(this.delay(), notice)
  }

  freeze(): void {
    if (this.#dead || this.#frozen) return
    this.#trace(this.name, 'freezes')
    this.#frozen = []
  }

  resume(): void {
    if (!this.#frozen) return
    this.#trace(this.name, 'resumes')
    this.#catchUp()
  }

  /** One after the other, with the microtasks of each in between, as a process works through its sockets. */
  #catchUp(): void {
    const code = this.#frozen?.shift()
    if (!code) {
      this.#frozen = undefined
      return
    }
    code()
    this.#scheduler.after(1, () => this.#catchUp())
  }

  /** Runs `code` in the process: now, when it resumes, or never. */
  learn(code: () => void): void {
    if (this.#dead) return
    if (this.#frozen) this.#frozen.push(code)
    else code()
  }

  /** Asks another party: the request travels, `serve` runs there, the answer travels back. */
  call<T>(name: string, serve: () => T | Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#fall(name, 'before')
      if (this.#dead) return
      const answer = (learn: () => void): void => {
        this.#fall(name, 'after')
        this.#scheduler.after(this.delay(), () => this.learn(learn))
      }
      this.#scheduler.after(this.delay(), () => {
        void Promise.try(serve).then(
          (value) => answer(() => resolve(value)),
          (error: unknown) => answer(() => reject(error)),
        )
      })
    })
  }

  readonly sleep: Sleep = (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve()
      const alarm = this.#scheduler.after(ms * 1000, () =>
        this.learn(() => {
          signal?.removeEventListener('abort', wake)
          resolve()
        }),
      )
      const wake = (): void => {
        alarm.cancel()
        resolve()
      }
      signal?.addEventListener('abort', wake, { once: true })
    })

  #fall(call: string, phase: Ambush['phase']): void {
    const ambush = this.#ambush
    if (!ambush || this.#dead || ambush.call !== call || ambush.phase !== phase) return
    this.#ambush = undefined
    this.#trace(this.name, `is struck ${phase} ${call}`)
    ambush.strike()
  }
}
