/** Whether anything changes in a folder and those below it. */
import { readdirSync, statSync, watch, type FSWatcher } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'

/** What packages bring, and what editors and version control keep beside the files. */
const LEFT_ALONE = /^(node_modules$|\.)/

/**
 * Call back at each change. The folder need not exist yet, and may go and come
 * again: one watcher stands on each folder, since a recursive one loses track
 * of what is renamed over.
 *
 * @returns the way to stop
 */
export function watchFolder (dir: string, changed: () => void): () => void {
  const top = resolve(dir)
  /** By path and number of the inode: a folder that was made anew is another one. */
  const watchers = new Map<string, FSWatcher>()
  let stopped = false

  const look = (): void => {
    if (stopped) return
    const folders = foldersFrom(top)
    for (const [key, path] of folders) {
      if (!watchers.has(key)) add(key, path, () => true)
    }
    for (const [key, watcher] of watchers) {
      if (key === dirname(top) || folders.has(key)) continue
      watcher.close()
      watchers.delete(key)
    }
  }
  const add = (key: string, path: string, concerns: (name: string | null) => boolean): void => {
    try {
      const watcher = watch(path, { persistent: false }, (_event, name) => {
        if (!concerns(name)) return
        look()
        changed()
      })
      watchers.set(key, watcher.on('error', () => watcher.close()))
    } catch {
      // Gone between the look and here: whoever took it away is told by the folder above.
    }
  }

  add(dirname(top), dirname(top), name => name === null || name === basename(top))
  look()
  return () => {
    stopped = true
    for (const watcher of watchers.values()) watcher.close()
  }
}

function foldersFrom (path: string): Map<string, string> {
  const found = new Map<string, string>()
  const visit = (folder: string): void => {
    try {
      found.set(`${folder}:${statSync(folder, { bigint: true }).ino}`, folder)
      for (const entry of readdirSync(folder, { withFileTypes: true })) {
        if (entry.isDirectory() && !LEFT_ALONE.test(entry.name)) visit(join(folder, entry.name))
      }
    } catch {
      // Not there, or gone meanwhile.
    }
  }
  visit(path)
  return found
}
