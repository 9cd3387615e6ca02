/** The planted bugs that a named test catches: mostly those of statements in SQL. */

import type { Mutant } from './mutants.ts'

export const statementMutants: readonly Mutant[] = [
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
    name: 'what was sent along goes on after its transaction',
    file: 'replication/batch-merger.ts',
    search: 'await together([',
    replace: 'await Promise.all([',
    caughtBy: {
      test: 'replication/batch-merger.pg.test.ts',
      name: 'a batch that another applier has overtaken leaves nothing behind, whatever of it was sent along',
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
    search: '!this.#keysUnderWay.has(key) && !passedOver.has(key)',
    replace: "(typeof key === 'string' || (!this.#keysUnderWay.has(key) && !passedOver.has(key)))",
    caughtBy: {
      test: 'batching/group-commit.test.ts',
      name: 'writes of one property or one request id never share a batch and keep their order',
    },
  },
  {
    name: 'the statement writes to a deleted property',
    file: 'postgres/columns.ts',
    search: '(NOT p.deleted OR NOT asked.deleted)',
    replace: 'true',
    caughtBy: {
      test: 'postgres/write-batch.pg.test.ts',
      name: 'the statement and decideWrite take the same decisions, rows and events alike',
    },
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
  {
    name: 'a state that is kept is given as it was read',
    file: 'postgres/read-properties.ts',
    search: 'WHERE p.vector IS DISTINCT FROM wanted.vector',
    replace: 'WHERE wanted.vector IS NULL',
    caughtBy: {
      test: 'postgres/representations.pg.test.ts',
      name: 'a read is answered as the row is, whatever has happened to it since the last one',
    },
  },
]
