import assert from 'node:assert/strict'
import { test } from 'node:test'
import { useTestDatabase } from '../testing/database.ts'
import { openMergeSession } from './merge-session.ts'

const database = useTestDatabase()

test('a session that is closed does not wait for what is under way', async () => {
  const session = await openMergeSession(database.url)
  const other = await database.pool.connect()
  try {
    await other.query('BEGIN')
    await other.query('SELECT FROM properties WHERE id = 1 FOR UPDATE')
    const asked = Promise.withResolvers<void>()
    const merging = session.transaction((transaction) => {
      asked.resolve()
      return transaction.lockStates([1])
    })
    merging.catch(() => {}) // looked at below
    await asked.promise
    session.close()
    assert.match((await session.lost).message, /ended/)
    await assert.rejects(merging, /terminated/)
  } finally {
    other.release(true)
  }
})
