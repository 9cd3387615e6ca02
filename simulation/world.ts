/**
 * Everything that a history is made of, and what is checked while it runs.
 *
 * Invariant: each check compares what the system says with what really happened, which only the simulation knows.
 */

import { SimulatedDatabase } from './database.ts'
import { Backend } from './backend.ts'
import { SimulatedLog } from './log.ts'
import { Observation } from './observation.ts'
import type { Plan } from './plan.ts'
import { Random } from './random.ts'
import { Scheduler } from './scheduler.ts'
import { Sessions } from './session.ts'
import { silent, type Trace } from './trace.ts'
import { seedState } from '../backend/src/testing/arbitraries.ts'

export interface Region {
  readonly name: string
  readonly database: SimulatedDatabase
  readonly sessions: Sessions
  readonly backends: readonly Backend[]
}

export class World {
  readonly plan: Plan
  readonly scheduler = new Scheduler()
  readonly log: SimulatedLog
  readonly regions: readonly Region[]
  readonly trace: Trace
  readonly observation: Observation

  constructor(plan: Plan, write: ((line: string) => void) | undefined) {
    this.plan = plan
    this.trace = write ? (who, what) => write(`${this.#timestamp()}  ${who.padEnd(10)} ${what}`) : silent
    this.observation = new Observation(this)
    this.log = new SimulatedLog(plan.partitions, {
      scheduler: this.scheduler,
      random: this.stream('log'),
      trace: this.trace,
    })
    this.regions = plan.regions.map((name) => this.#makeRegion(name))
  }

  #timestamp(): string {
    return (this.scheduler.nowMs / 1000).toFixed(6).padStart(11)
  }

  #makeRegion(name: string): Region {
    const { scheduler } = this
    const seeds = Array.from({ length: this.plan.properties }, (_, index) => seedState(index + 1))
    const database = new SimulatedDatabase({
      region: name,
      skew: this.plan.skews[name] ?? 0,
      seeds,
      scheduler,
      random: this.stream(`database ${name}`),
      observer: this.observation,
    })
    const sessions = new Sessions(database, scheduler)
    const backends: Backend[] = []
    const region = { name, database, sessions, backends }
    for (let index = 0; index < this.plan.backendsPerRegion; index++) {
      backends.push(new Backend(`${name}/${index}`, this, region))
    }
    return region
  }

  stream(name: string): Random {
    return new Random(this.plan.seed, name)
  }

  region(name: string): Region {
    return this.regions.find((region) => region.name === name) as Region
  }

  backend(name: string): Backend {
    return this.regions
      .flatMap(({ backends }) => backends)
      .find((backend) => backend.name === name) as Backend
  }
}
