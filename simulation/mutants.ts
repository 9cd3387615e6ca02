/**
 * Planted bugs: each a change of the product's source that a plausible hand could make.
 *
 * Invariant: `search` occurs exactly once in `file`, so a mutant that no longer fits fails instead of passing unnoticed.
 * `caughtBy` is the simulation, or the test of a statement in SQL, which the simulation has a counterpart for.
 */

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
    search: 'id: conflictId(loser.id, group, stamp),',
    replace: 'id: conflictId(loser.id, group, stampOf(winner, members[0] as FieldName)),',
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
    search: 'mergeBatch(transaction, this.#options.actor, folded)',
    replace: `mergeBatch(transaction, this.#options.actor, { ...folded, properties: folded.properties.map((p) => ({ ...p,
      states: p.states.map((s) => ({ ...s, stamps: Object.fromEntries(Object.entries(s.stamps).map(([k, v]) =>
        [k, [v[0], Math.min(v[1], arrivedAt), v[2], v[3], v[4]] as const])) })) })) })`,
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
      const arrivedAt = await transaction.advanceOffsets(this.#topic, decoded.advances)
`,
    replace: `    const arrivedAt = await this.#session.transaction((transaction) =>
      transaction.advanceOffsets(this.#topic, decoded.advances))
    const { counts, restored } = await this.#session.transaction(async (transaction) => {
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
    replace: 'transaction.mergeClaims([])',
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
    name: 'a heartbeat vouches for older transactions that are still running',
    file: 'postgres/emit-heartbeat.ts',
    search: 'pg_snapshot_xmin(pg_current_snapshot())::text',
    replace: 'pg_current_xact_id()::text',
    caughtBy: {
      test: '../../simulation/database.pg.test.ts',
      name: 'a heartbeat does not vouch for a transaction that is still running',
    },
  },
  {
    name: 'marks go back',
    file: 'postgres/merge-marks.ts',
    search: '\n      WHERE m.lsn < excluded.lsn`',
    replace: '`',
    caughtBy: {
      test: 'postgres/sources.pg.test.ts',
      name: 'a watermark is the least mark of all partitions, absent until each has one, and never goes back',
    },
  },
  {
    name: 'a watermark is the greatest mark',
    file: 'postgres/read-sources.ts',
    search: 'min(m.snapshot_xmin::text::numeric)',
    replace: 'max(m.snapshot_xmin::text::numeric)',
    caughtBy: {
      test: 'postgres/sources.pg.test.ts',
      name: 'a watermark is the least mark of all partitions, absent until each has one, and never goes back',
    },
  },
  {
    name: 'a replaced applier goes on',
    file: 'postgres/kafka-offsets.ts',
    search: ' AND k.next_offset = move.before',
    replace: '',
    caughtBy: {
      test: 'postgres/sources.pg.test.ts',
      name: 'offsets move only from where the applier left them',
    },
  },
  {
    name: 'a request id is claimed beside the update',
    file: 'postgres/write-batch.ts',
    search: ' AND coalesce(asked.request_id IN (SELECT request_id FROM claim), false)\n',
    replace: '\n',
    caughtBy: {
      test: 'postgres/write-batch.pg.test.ts',
      name: 'one request id on ten properties at once takes effect once',
    },
  },
  {
    name: 'a request id may be in one batch twice',
    file: 'batching/group-commit.ts',
    search: '!this.#underWay.has(key) && !passedOver.has(key)',
    replace: "(typeof key === 'string' || (!this.#underWay.has(key) && !passedOver.has(key)))",
    caughtBy: {
      test: 'batching/group-commit.test.ts',
      name: 'writes of one property or one request id never share a batch and keep their order',
    },
  },
  {
    name: 'a property may be in one batch twice',
    file: 'batching/group-commit.ts',
    search: '!this.#underWay.has(key) && !passedOver.has(key)',
    replace: "(typeof key === 'number' || (!this.#underWay.has(key) && !passedOver.has(key)))",
    caughtBy: simulation,
  },
  {
    name: 'a write is answered by the outcome of its neighbour',
    file: 'batching/group-commit.ts',
    search: 'this.#settle(write, outcomes[index] as BatchOutcome)',
    replace: 'this.#settle(write, (outcomes[index + 1] ?? outcomes[index]) as BatchOutcome)',
    caughtBy: simulation,
  },
  {
    name: 'the fast path replaces rows that it does not dominate',
    file: 'postgres/merge-states.ts',
    search: `  AND NOT EXISTS (
    SELECT FROM jsonb_each_text(p.vector) AS seen (actor, n)
    WHERE coalesce((excluded.vector->>seen.actor)::bigint, 0) < seen.n::bigint)
`,
    replace: '',
    caughtBy: {
      test: 'replication/merge-batch.pg.test.ts',
      name: 'merging in the database is the domain’s join, one by one or in batches, again and again',
    },
  },
  {
    name: 'twins that arrive together are not put on record',
    file: 'postgres/merge-claims.ts',
    search: '  if (fresh.size === claims.length) return born\n',
    replace: '  if (fresh.size === claims.length) return []\n',
    caughtBy: {
      test: 'replication/merge-batch.pg.test.ts',
      name: 'two acceptances of one request that arrive in one batch are recorded too',
    },
  },
]
