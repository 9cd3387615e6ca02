/**
 * Planted bugs: each a change of the product's source that a plausible hand could make.
 *
 * Invariant: `search` occurs exactly once in `file`, so a mutant that no longer fits fails instead of passing unnoticed.
 * `caughtBy` is the simulation, or a named test: of a statement in SQL, which the simulation has a counterpart for.
 */

import { statementMutants } from './statement-mutants.ts'

export interface Mutant {
  readonly name: string
  /** Below `backend/src/`. */
  readonly file: string
  readonly search: string
  readonly replace: string
  readonly caughtBy: 'simulation' | { readonly test: string; readonly name: string }
}

const simulation = 'simulation'

export const mutants: readonly Mutant[] = [
  {
    name: 'a conflict is named by its winner',
    file: 'domain/merge.ts',
    search: '    records.push(lossOf(loser, group, members))\n',
    replace: `    const id = conflictId(loser.id, group, stampOf(winner, members[0] as FieldName))
    records.push({ ...lossOf(loser, group, members), id })
`,
    caughtBy: simulation,
  },
  {
    name: 'time is compared before the count',
    file: 'domain/stamp.ts',
    search: 'return a[0] - b[0] || a[1] - b[1] ||',
    replace: 'return a[1] - b[1] || a[0] - b[0] ||',
    caughtBy: simulation,
  },
  {
    name: 'stamps from the future are clamped to the local clock',
    file: 'replication/batch-merger.ts',
    search: `      const [arrivedAt, merged] = await together([
        transaction.advanceOffsets(this.#topic, decoded.advances),
        mergeBatch(transaction, this.#options.actor, encoded),
      ])
`,
    replace: `      const arrivedAt = await transaction.advanceOffsets(this.#topic, decoded.advances)
      const properties = encoded.properties.map((p) => ({ ...p,
        states: p.states.map((s) => ({ ...s, stamps: Object.fromEntries(Object.entries(s.stamps).map(([k, v]) =>
          [k, [v[0], Math.min(v[1], arrivedAt), v[2], v[3], v[4]] as const])) })) }))
      const clamped = encodeBatch({ properties, claims: encoded.claims.items })
      const merged = await mergeBatch(transaction, this.#options.actor, clamped)
`,
    caughtBy: simulation,
  },
  {
    name: 'the count does not grow: a write does not beat what it saw',
    file: 'domain/write.ts',
    search: '(state.stamps[name] ?? seedStamp)[0] + 1',
    replace: '(state.stamps[name] ?? seedStamp)[0]',
    caughtBy: simulation,
  },
  {
    name: 'the slot is confirmed on receipt',
    file: 'replication/relay-queue.ts',
    search: '    this.#filled.raise()\n  }\n\n  /** Everything that waits',
    replace:
      '    this.#filled.raise()\n    this.#stream?.confirm(endLsn)\n  }\n\n  /** Everything that waits',
    caughtBy: simulation,
  },
  {
    name: 'a keepalive is confirmed while events wait',
    file: 'replication/relay-queue.ts',
    search: 'if (this.#idle) this.#stream?.confirm(frame.walEnd)',
    replace: 'this.#stream?.confirm(frame.walEnd)',
    caughtBy: simulation,
  },
  {
    name: 'a keepalive is confirmed amid a send',
    file: 'replication/relay-queue.ts',
    search: 'this.#entries.length === 0 && !this.#inFlight &&',
    replace: 'this.#entries.length === 0 &&',
    caughtBy: simulation,
  },
  {
    name: 'two sends are in flight',
    file: 'replication/relay.ts',
    search: `        await this.#orTimeout(publisher.send(batch.records))
        this.#options.metrics.relayPublished.inc(batch.records.length)
      }
`,
    replace: `        const earlier = queue.sent
        queue.sent = Promise.all([this.#orTimeout(publisher.send(batch.records)), earlier]).then(() => queue.acknowledge(batch))
        queue.sent.catch(() => {})
        await earlier
        continue
      }
`,
    caughtBy: simulation,
  },
  {
    name: 'a failed send is taken for done',
    file: 'replication/relay.ts',
    search: 'await this.#orTimeout(publisher.send(batch.records))',
    replace: 'await this.#orTimeout(publisher.send(batch.records)).catch(() => {})',
    caughtBy: simulation,
  },
  {
    name: 'offsets are committed before the merge',
    file: 'replication/batch-merger.ts',
    search: `    const { counts, restored } = await this.#session.transaction(async (transaction) => {
      const [arrivedAt, merged] = await together([
        transaction.advanceOffsets(this.#topic, decoded.advances),
`,
    replace: `    const moved = await this.#session.transaction((transaction) =>
      transaction.advanceOffsets(this.#topic, decoded.advances))
    const { counts, restored } = await this.#session.transaction(async (transaction) => {
      const [arrivedAt, merged] = await together([
        moved,
`,
    caughtBy: simulation,
  },
  {
    name: 'a heartbeat goes to one partition only',
    file: 'replication/relay-queue.ts',
    search: 'return Array.from({ length: partitions }, (_, partition) => ({ partition, key, value }))',
    replace: `const parsed = { ...event, lsn: formatLsn(commitLsn), partitions: 1 }
    return [{ partition: 0, key, value: Buffer.from(JSON.stringify(parsed)) }]`,
    caughtBy: simulation,
  },
  {
    name: 'messages share the buffer of the driver',
    file: 'postgres/pgoutput.ts',
    search: 'content: Buffer.from(body.subarray(contentStart, contentStart + length)),',
    replace: 'content: body.subarray(contentStart, contentStart + length),',
    caughtBy: simulation,
  },
  {
    name: 'conflict records stay where they were made',
    file: 'replication/merge-batch.ts',
    search: '  await emitChanged(transaction, actor, joined, conflicts)\n',
    replace: '',
    caughtBy: simulation,
  },
  {
    name: 'a concurrent value is judged by whole states, not by its dot',
    file: 'domain/merge.ts',
    search: 'covers(winner.vector, stamp)',
    replace: 'Object.entries(loser.vector).every(([actor, n]) => n <= (winner.vector[actor] ?? 0))',
    caughtBy: simulation,
  },
  {
    name: 'a value that a delete hides is not put on record',
    file: 'domain/merge.ts',
    search: 'return [...overwrittenValues(a, b), ...hiddenValues(a, b)]',
    replace: 'return overwrittenValues(a, b)',
    caughtBy: simulation,
  },
  {
    name: 'a hidden value is compared with the stamp of the delete, not by its dot',
    file: 'domain/merge.ts',
    search: 'return covers(deleter.vector, stamp) ? []',
    replace: "return compareStamps(stamp, stampOf(deleter, 'deleted')) <= 0 ? []",
    caughtBy: simulation,
  },
  {
    name: 'what a delete has seen is put on record too',
    file: 'domain/merge.ts',
    search: 'return covers(deleter.vector, stamp) ? []',
    replace: "return stamp[3] === 0 || group === 'deleted' ? []",

    caughtBy: simulation,
  },
  {
    name: 'a deleted property takes every write',
    file: 'domain/write.ts',
    search: "if (fields.deleted && changes.deleted !== false) return 'deleted'\n",
    replace: '',
    caughtBy: simulation,
  },
  {
    name: 'bounds of the clock offset are kept when a clock was set',
    file: 'domain/lag.ts',
    search:
      'return upper !== null && lower > upper ? { lower: lowerNow, upper: upperNow } : { lower, upper }',
    replace: 'return { lower, upper }',
    caughtBy: simulation,
  },
  {
    name: 'an event replaces a row that it does not dominate',
    file: 'replication/merge-batch.ts',
    search: '    after = joinStates(after, state)\n',
    replace: '    after = { ...state, vector: joinStates(after, state).vector }\n',
    caughtBy: simulation,
  },
  {
    name: 'folding keeps the last state only',
    file: 'replication/fold.ts',
    search: 'next !== undefined && dominates(next.vector, state.vector)',
    replace: 'next !== undefined',
    caughtBy: simulation,
  },
  {
    name: 'folding keeps the last acceptance only',
    file: 'replication/fold.ts',
    search: 'joinAcceptances(before, acceptances)',
    replace: 'joinAcceptances(before.slice(0, 0), acceptances)',
    caughtBy: simulation,
  },
  {
    name: 'claims do not travel',
    file: 'replication/merge-batch.ts',
    search: 'transaction.mergeClaims(batch.claims)',
    replace: `transaction.mergeClaims({ items: [], json: '[]' })`,
    caughtBy: simulation,
  },
  {
    name: 'twins are not put on record',
    file: 'replication/merge-batch.ts',
    search: 'transaction.mergeConflicts(grownClaims.flatMap(conflictsOfClaim))',
    replace: 'transaction.mergeConflicts(grownClaims.flatMap(conflictsOfClaim).slice(0, 0))',
    caughtBy: simulation,
  },
  {
    name: 'an applier begins at the end of the topic',
    file: 'replication/find-gaps.ts',
    search: '      positions.set(partition, offset)\n',
    replace: '      positions.set(partition, latest)\n',
    caughtBy: simulation,
  },
  {
    name: 'of statements that were sent together the last one tells what is wrong',
    file: 'runtime/together.ts',
    search: '  await Promise.allSettled(work)\n',
    replace: `  const last = (await Promise.allSettled(work)).findLast((each) => each.status === 'rejected')
  if (last) throw last.reason
`,
    caughtBy: simulation,
  },
  {
    name: 'a poison batch is skipped as a whole',
    file: 'replication/batch-merger.ts',
    search: 'if (records.length > 1) {',
    replace: 'if (records.length > 9000) {',
    caughtBy: simulation,
  },
  {
    name: 'the clock offset is the shortest delay',
    file: 'domain/lag.ts',
    search: 'return Math.min(Math.max(0, lower ?? 0), upper ?? Number.POSITIVE_INFINITY)',
    replace: 'return lower ?? upper ?? 0',
    caughtBy: simulation,
  },
  {
    name: 'records of another actor are taken for own ones',
    file: 'replication/decode.ts',
    search: 'if (record.actor === ownActor) return',
    replace: 'if (record.actor !== undefined && record.actor !== ownActor) return',
    caughtBy: simulation,
  },
  {
    name: 'a property may be in one batch twice',
    file: 'batching/group-commit.ts',
    search: '!this.#keysUnderWay.has(key) && !passedOver.has(key)',
    replace: "(typeof key === 'number' || (!this.#keysUnderWay.has(key) && !passedOver.has(key)))",
    caughtBy: simulation,
  },
  {
    name: 'the applier does not wait for the batch before',
    file: 'replication/applier.ts',
    search: '      movedAt = now()\n      await merging\n',
    replace: '      movedAt = now()\n',
    caughtBy: simulation,
  },
  {
    name: 'own heartbeats are passed over with own events',
    file: 'replication/batch-merger.ts',
    search: '[events, heartbeats, ownHeartbeats, poison].every',
    replace: '[events, heartbeats, poison].every',
    caughtBy: {
      test: 'replication/applier.test.ts',
      name: 'an own heartbeat is held against the database, also where nothing but own events comes with it',
    },
  },
  {
    name: 'what was refused together is merged one by one from where the next batch is',
    file: 'replication/batch-merger.ts',
    search: '([partition, { from }]) => [partition, from]',
    replace: '([partition, { to }]) => [partition, to]',
    caughtBy: simulation,
  },
  {
    name: 'a write is answered by the outcome of its neighbour',
    file: 'batching/group-commit.ts',
    search: 'const property = accepted.get(write.request.id)',
    replace: 'const [property] = accepted.values()',
    caughtBy: simulation,
  },
  ...statementMutants,
]
