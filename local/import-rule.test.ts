import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { findForbiddenImports } from './import-rule.ts'
import { scratchFolder } from './test-support.ts'

test('imports that point outwards are found, others are not', (t) => {
  const source = scratchFolder(t)
  const files = {
    'main.ts': `import { a } from './http/a.ts'`,
    'app.ts': `import { fake } from './testing/fake.ts'`,
    'testing/fake.ts': `import { a } from '../http/a.ts'\nimport { freePort } from '../../../local/ports.ts'`,
    'http/a.ts': `import type { P } from '../domain/p.ts'\nimport { log } from '../runtime/log.ts'`,
    'http/b.ts': `import { query } from '../postgres/query.ts'`,
    'http/b.test.ts': `import { query } from '../postgres/query.ts'`,
    'domain/p.ts': `import { q } from './q.ts'`,
    'domain/q.ts': `export { read } from 'node:fs'\nconst late = await import('../runtime/log.ts')`,
    'replication/relay.ts': `import { query } from '../postgres/query.ts'\nimport { a } from '../http/a.ts'`,
    'runtime/log.ts': `import { freePort } from '../../../local/ports.ts'`,
  }
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(source, file)), { recursive: true })
    writeFileSync(join(source, file), text)
  }
  assert.deepEqual(findForbiddenImports(source), [
    'app.ts: root must not import ./testing/fake.ts',
    'domain/q.ts: domain must not import node:fs',
    'domain/q.ts: domain must not import ../runtime/log.ts',
    'http/b.ts: http must not import ../postgres/query.ts',
    'replication/relay.ts: replication must not import ../http/a.ts',
    'runtime/log.ts: runtime must not import ../../../local/ports.ts',
  ])
})
