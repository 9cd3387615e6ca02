/**
 * A part under supervision: it is meant to run or meant to be down, and only somebody's word changes which. One
 * that ends while it is meant to run is started again, with growing pauses; one that was stopped or killed on
 * purpose stays down until it is started.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Part } from './parts/part.ts'

export type PartState = 'stopped' | 'starting' | 'running' | 'paused' | 'restarting'

const restartDelayMinMs = 500
const restartDelayMaxMs = 30_000
/** A part that ran this long has proven itself: its next restart is quick again. */
const provenAfterMs = 30_000

export class SupervisedPart {
  readonly part: Part
  readonly #report: (line: string) => void
  #state: PartState = 'stopped'
  #startedAt = 0
  #restarts = 0
  #nextDelayMs = restartDelayMinMs
  #restart: AbortController | undefined

  constructor(part: Part, report: (line: string) => void) {
    this.part = part
    this.#report = report
  }

  get state(): PartState {
    return this.#state
  }

  get restarts(): number {
    return this.#restarts
  }

  /** Since when it runs, in milliseconds since the epoch; 0 if it does not. */
  get runningSince(): number {
    return this.#state === 'running' || this.#state === 'paused' ? this.#startedAt : 0
  }

  async start(): Promise<void> {
    if (this.#state === 'paused') throw new Error(`${this.part.name} is paused: resume it`)
    if (this.#state === 'running' || this.#state === 'starting') {
      throw new Error(`${this.part.name} is ${this.#state} already`)
    }
    this.#cancelRestart()
    this.#nextDelayMs = restartDelayMinMs
    await this.#startOnce('starting')
  }

  async stop(timeoutMs?: number): Promise<void> {
    this.#beDown()
    await this.part.stop(timeoutMs)
  }

  async kill(): Promise<void> {
    this.#beDown()
    await this.part.kill()
  }

  pause(): void {
    if (this.#state !== 'running') throw new Error(`${this.part.name} is ${this.#state}, not running`)
    this.part.pause()
    this.#state = 'paused'
  }

  resume(): void {
    if (this.#state !== 'paused') throw new Error(`${this.part.name} is ${this.#state}, not paused`)
    this.part.resume()
    this.#state = 'running'
  }

  async #startOnce(state: 'starting' | 'restarting'): Promise<void> {
    this.#state = state
    try {
      await this.part.start()
    } catch (error) {
      if (this.#state === state) this.#state = 'stopped'
      throw error
    }
    if (this.#state !== state) throw new Error(`${this.part.name} was stopped while it started`)
    this.#state = 'running'
    this.#startedAt = Date.now()
    void this.#superviseRun()
  }

  async #superviseRun(): Promise<void> {
    const reason = await this.part.whenExited()
    if (this.#state !== 'running' && this.#state !== 'paused') return
    if (Date.now() - this.#startedAt > provenAfterMs) this.#nextDelayMs = restartDelayMinMs
    await this.#restartUntilUp(reason)
  }

  async #restartUntilUp(firstReason: string): Promise<void> {
    const restart = new AbortController()
    this.#restart = restart
    let reason = firstReason
    while (!restart.signal.aborted) {
      this.#state = 'restarting'
      const pause = this.#nextDelayMs
      this.#nextDelayMs = Math.min(pause * 2, restartDelayMaxMs)
      this.#report(`${this.part.name} ended by itself (${reason}); starting it again in ${pause / 1_000} s`)
      try {
        await delay(pause, undefined, { signal: restart.signal })
        this.#restarts++
        await this.#startOnce('restarting')
        this.#report(`${this.part.name} runs again`)
        return
      } catch (error) {
        reason = error instanceof Error ? error.message : String(error)
      }
    }
  }

  #beDown(): void {
    this.#cancelRestart()
    this.#state = 'stopped'
  }

  #cancelRestart(): void {
    this.#restart?.abort()
    this.#restart = undefined
  }
}
