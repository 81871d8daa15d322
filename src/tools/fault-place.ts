/** Where a module that cannot be loaded is wrong: often not in the file that was loaded, but in one that it imports. */
import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** How Node begins what it prints of a fault of syntax: the file and the line. */
const PLACE = /^((?:file:\/)?\/\S+?|[A-Z]:\\\S+?)(?:\?g=\d+)?:(\d+)$/

/**
 * The file and line of a fault of syntax, to be put behind its message; empty if it is none or nobody knows.
 *
 * @param dir folder of the tools
 */
export async function faultPlace (error: Error, dir: string): Promise<string> {
  const { stack = '', name } = error
  const said = placeIn(stack)
  if (said !== '' || name !== 'SyntaxError') return said
  // V8 keeps the place of most to itself until Node ends with it. So Node is asked for each file, until one is wrong.
  for (const file of scriptsIn(dir)) {
    const found = await promisify(execFile)(process.execPath, ['--check', file], { timeout: 10_000 })
      .then(() => '', ({ stderr = '' }: { stderr?: string }) => placeIn(stderr))
    if (found !== '') return found
  }
  return ''
}

function placeIn (text: string): string {
  const [, at, line] = PLACE.exec(text.split('\n', 1)[0]!) ?? []
  return at === undefined ? '' : ` (${at.startsWith('file:') ? fileURLToPath(at) : at}, line ${line})`
}

function scriptsIn (dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter(path => /\.[cm]?js$/.test(path) && !path.includes('node_modules')).map(path => resolve(join(dir, path)))
}
