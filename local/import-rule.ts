/**
 * The rule on who may import whom in the backend: dependencies point inwards. `domain` is pure and knows nothing
 * of ours; `runtime` knows only itself; `http`, `postgres` and `kafka` do not know each other, so that each can be
 * read, tested and replaced alone; `replication` joins the latter two; the files beside the folders construct it all.
 */
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'

const allowed: Record<string, string[]> = {
  domain: [],
  runtime: [],
  http: ['domain', 'runtime'],
  batching: ['domain', 'runtime'],
  postgres: ['domain', 'runtime'],
  kafka: ['domain', 'runtime'],
  replication: ['domain', 'postgres', 'kafka', 'runtime'],
}

/** What tests share: it may import anything, and nobody but a test may import it. */
const testHelpers = 'testing'

/** Modules without I/O, clock or randomness of their own. */
const pureModules = new Set(['node:buffer', 'node:util'])
const importPattern = /(?:\bfrom|\bimport\s*\(?)\s*['"]([^'"]+)['"]/g

/** The imports under `source` that break the rule, one line each. Tests, and what is in a folder `testing`, are free. */
export function findForbiddenImports(source: string): string[] {
  const found: string[] = []
  for (const file of globSync('**/*.ts', { cwd: source }).toSorted()) {
    if (file.endsWith('.test.ts') || dirname(file).split(sep).includes('testing')) continue
    const layer = layerOf(file)
    for (const [, specifier = ''] of readFileSync(join(source, file), 'utf8').matchAll(importPattern)) {
      if (!isAllowed(source, file, layer, specifier))
        found.push(`${file}: ${layer} must not import ${specifier}`)
    }
  }
  return found
}

function isAllowed(source: string, file: string, layer: string, specifier: string): boolean {
  if (!specifier.startsWith('.')) {
    return layer !== 'domain' || !specifier.startsWith('node:') || pureModules.has(specifier)
  }
  const target = relative(source, resolve(source, dirname(file), specifier))
  const other = layerOf(target)
  if (target.startsWith('..') || other === testHelpers) return false
  return layer === 'root' || other === layer || (allowed[layer]?.includes(other) ?? false)
}

function layerOf(file: string): string {
  const [first = '', ...rest] = file.split(sep)
  return rest.length === 0 ? 'root' : first
}
