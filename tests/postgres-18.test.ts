/**
 * The database tests once more, on PostgreSQL 18: the same files, each with its own hooks, on one server of that version.
 * Not those of `local`, whose subject is the local run, which is always on 14.
 */

import assert from 'node:assert/strict'
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import pg from 'pg'
import { startTestServer, type TestServer } from '../backend/src/testing/database.ts'
import { projectRoot } from '../local/paths.ts'

const version = '18'
const folders = ['backend/src', 'simulation']
const files = globSync(
  folders.map((folder) => `${folder}/**/*.pg.test.ts`),
  { cwd: projectRoot },
).toSorted()
const isGiven = process.env['TEST_DATABASE_URL'] !== undefined

suite(`PostgreSQL ${version}`, { skip: isGiven && 'TEST_DATABASE_URL names the server' }, () => {
  let server: TestServer

  before(async () => {
    process.env['TEST_POSTGRES_VERSION'] = version
    server = await startTestServer()
    process.env['TEST_DATABASE_URL'] = await server.createDatabase()
  })
  after(() => server?.stop())

  test('is what the tests run on', async () => {
    const client = new pg.Client({ connectionString: process.env['TEST_DATABASE_URL'] })
    await client.connect()
    const { rows } = await client.query<{ server_version: string }>('SHOW server_version')
    await client.end()
    assert.match(rows[0]?.server_version ?? '', new RegExp(`^${version}\\.`))
    assert.ok(files.length > 0)
  })

  for (const file of files) {
    // Hooks and tests of the file become those of this suite.
    suite(file, async () => void (await import(pathToFileURL(join(projectRoot, file)).href)))
  }
})
