/**
 * Writes offered to one backend by a process of their own, at a rate that does not depend on the answers (an open loop:
 * real clients do not wait for one another), or as fast as answers come (a closed one), which finds the capacity.
 *
 * Every write is one that has to be accepted (`If-Match: *`, an id of its own), so that the database's versions count
 * them.
 */

import { fork } from 'node:child_process'
import { join } from 'node:path'

export type Offer = {
  readonly host: string
  readonly port: number
  /** Of the request ids; a number follows. */
  readonly prefix: string
  /** They are written in turn, from 1. */
  readonly properties: number
  /** Null for a closed loop. */
  readonly perSecond: number | null
  readonly connections: number
  readonly seconds: number
}

export type Offered = {
  sent: number
  /** Due while every connection waited for an answer. */
  unsent: number
  /** Answers by status. */
  readonly statuses: Record<string, number>
  /** What befell connections, by reason. */
  readonly failures: Record<string, number>
  /** Refusals that do not say when to come back. */
  withoutRetryAfter: number
  /** Numbers of the writes that were answered 200. */
  readonly acknowledged: number[]
  /** Of those, from sending to the complete answer. */
  readonly latenciesMs: number[]
}

const program = join(import.meta.dirname, 'offer-process.ts')

/** Resolves when everything that was sent has been answered, or 5 s after the end. */
export function offer(options: Offer): Promise<Offered> {
  return new Promise((resolve, reject) => {
    const child = fork(program, [JSON.stringify(options)], { execArgv: [] })
    child.once('message', (message) => resolve(message as Offered))
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`the load's process ended with code ${code}`)))
  })
}

/** The value below which this share of the sorted values lies. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}
