/**
 * PostgreSQL refuses to run as root, and NGINX has no need to: when the runner is root they run as `nobody`, and
 * whatever that user must reach has to lie where it may go. A clone under a private home (`/root`, mode 700) is
 * such a place only for its owner, so state moves out of there (see paths.ts) and binaries are copied to it.
 */
import { spawnSync } from 'node:child_process'
import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

export type Owner = { uid: number; gid: number; name: string }

const ownerName = 'nobody'

/** The user that unprivileged parts run as: `nobody` for root, undefined (the caller itself) for everybody else. */
export function unprivilegedOwner(): Owner | undefined {
  if (process.getuid?.() !== 0) return undefined
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith(`${ownerName}:`))
  const [, , uid, gid] = line?.split(':') ?? []
  if (uid === undefined || gid === undefined) {
    throw new Error(
      `PostgreSQL does not run as root and there is no user "${ownerName}": run this as another user`,
    )
  }
  return { uid: Number(uid), gid: Number(gid), name: ownerName }
}

/** Whether that user may enter `folder`; always true when there is no other user. */
export function canEnter(owner: Owner | undefined, folder: string): boolean {
  if (!owner) return true
  return spawnSync('test', ['-x', folder], { uid: owner.uid, gid: owner.gid, cwd: '/' }).status === 0
}

/**
 * Makes a folder that `owner` owns and can reach. Folders on the way that lie under the system's temporary
 * folder (`mkdtemp` makes them private) are opened for passing through, others are left as they are.
 */
export function makeFolder(folder: string, owner: Owner | undefined): void {
  mkdirSync(folder, { recursive: true })
  if (!owner) return
  chownSync(folder, owner.uid, owner.gid)
  for (let above = dirname(folder); above.startsWith(`${tmpdir()}/`); above = dirname(above)) {
    chmodSync(above, lstatSync(above).mode | 0o111)
  }
  if (!canEnter(owner, folder)) {
    throw new Error(
      `${folder} cannot be entered by the user "${owner.name}", which runs PostgreSQL and NGINX because root must not: ` +
        `move the folder, or let others pass (chmod o+x) through its parents`,
    )
  }
}

/** Gives everything in `folder` to `owner`. */
export function chownTree(folder: string, owner: Owner | undefined): void {
  if (!owner) return
  chownSync(folder, owner.uid, owner.gid)
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) chownTree(path, owner)
    else if (!entry.isSymbolicLink()) chownSync(path, owner.uid, owner.gid)
  }
}

/** The path of a program found on PATH or in the folders where systems keep servers. */
export function findProgram(name: string): string | undefined {
  const folders = [
    ...(process.env['PATH'] ?? '').split(':'),
    '/usr/sbin',
    '/usr/local/sbin',
    '/opt/homebrew/bin',
  ]
  for (const folder of folders) {
    if (folder === '') continue
    try {
      const path = join(folder, name)
      accessSync(path, constants.X_OK)
      return path
    } catch {
      continue
    }
  }
  return undefined
}
