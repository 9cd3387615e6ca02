/**
 * Where things lie. All state of the local run is in `.meridian/` of the clone, shared by nothing else; when root
 * has cloned into a private place that the parts' unprivileged user cannot enter, `.meridian` is a link to a
 * folder in /var/lib, named after the clone.
 */
import { createHash } from 'node:crypto'
import { lstatSync, mkdirSync, readlinkSync, realpathSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { canEnter, unprivilegedOwner } from './unprivileged.ts'

/** The clone's root folder. */
export const projectRoot = dirname(import.meta.dirname)

/** The state folder as its user knows it. */
export const stateLink = process.env['MERIDIAN_STATE'] ?? join(projectRoot, '.meridian')

/** The state folder's real path; made if it is not there. */
export function stateFolder(): string {
  if (!exists(stateLink)) {
    const parent = dirname(stateLink)
    if (canEnter(unprivilegedOwner(), parent)) {
      mkdirSync(stateLink)
    } else {
      const name = createHash('sha256').update(realpathSync(parent)).digest('hex').slice(0, 10)
      symlinkSync(`/var/lib/meridian-${name}`, stateLink)
    }
  }
  if (lstatSync(stateLink).isSymbolicLink()) mkdirSync(readlinkSync(stateLink), { recursive: true })
  return realpathSync(stateLink)
}

/** What is fetched once and shared by runs and tests: Kafka's jars, PostgreSQL's binaries where they must be copied. */
export function cacheFolder(): string {
  const folder = join(stateFolder(), 'cache')
  mkdirSync(folder, { recursive: true })
  return folder
}

function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined
}
