import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { projectRoot } from '../paths.ts'
import { memoryEnvironment, memoryFlags } from './backend.ts'

test('a backend gets the memory that it has in a container', () => {
  const dockerfile = readFileSync(join(projectRoot, 'backend/Dockerfile'), 'utf8')
  const [, command = ''] = /^CMD (.*)$/m.exec(dockerfile) ?? []
  assert.deepEqual(JSON.parse(command), ['node', ...memoryFlags, 'backend/src/main.ts'])
  const variables = Object.entries(memoryEnvironment).map(([name, value]) => `${name}=${value}`)
  assert.ok(dockerfile.includes(`\nENV ${variables.join(' ')}\n`))
})
