/**
 * The one system of a test file: there before the first test, gone after the last one. If a test has failed, the end of
 * every log is printed, because the logs go with the system.
 */

import { after, afterEach, before } from 'node:test'
import { startSystem, type System, type SystemOptions } from './system.ts'

/** Call it at the top of the file. What it returns is filled when the system runs: in tests, not before. */
export function useSystem(options?: SystemOptions): System {
  const system = {} as System
  let failed = false
  before(async () => {
    Object.assign(system, await startSystem(options))
  })
  afterEach((t) => {
    failed ||= 'passed' in t && !t.passed
  })
  after(() => system.stop?.(failed))
  return system
}
