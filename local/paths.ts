/**
 * Where things lie. All state of the local run is in `.meridian/` of the clone, shared by nothing else; when root
 * has cloned into a private place that the parts' unprivileged user cannot enter, `.meridian` is a link to a
 * folder in /var/lib, named after the clone.
 */
import { createHash } from 'node:crypto'
import { lstatSync, mkdirSync, readlinkSync, realpathSync, symlinkSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { canEnter, unprivilegedOwner } from './unprivileged.ts'

/** The clone's root folder. */
export const projectRoot = dirname(import.meta.dirname)

const standardLink = join(projectRoot, '.meridian')

/** The state folder as its user knows it; MERIDIAN_STATE puts it elsewhere, e.g. for a second system beside the first. */
export const stateLink = resolve(process.env['MERIDIAN_STATE'] || standardLink)

/** The state folder's real path; made if it is not there. */
export function stateFolder(link = stateLink): string {
  if (!exists(link)) {
    const parent = dirname(link)
    if (canEnter(unprivilegedOwner(), parent)) {
      mkdirSync(link)
    } else {
      const name = createHash('sha256').update(realpathSync(parent)).digest('hex').slice(0, 10)
      symlinkSync(`/var/lib/meridian-${name}`, link)
    }
  }
  if (lstatSync(link).isSymbolicLink()) mkdirSync(readlinkSync(link), { recursive: true })
  return realpathSync(link)
}

/** What is fetched once and shared by runs and tests: Kafka's jars, PostgreSQL's binaries where they must be copied. */
export function cacheFolder(): string {
  const folder = join(stateFolder(standardLink), 'cache')
  mkdirSync(folder, { recursive: true })
  return folder
}

function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined
}
