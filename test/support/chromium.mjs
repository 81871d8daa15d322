// A Chromium for tests of pages: the one on the path, or Debian's, unpacked without root.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fetchPackage, hasApt, onPath } from './debian.mjs'

const ADVICE = 'The tests of pages need a Chromium: install it (apt install chromium, brew install chromium), or set TEST_CHROMIUM to its path.'

/**
 * How to run a Chromium here.
 *
 * @returns {{ program: string, env: Record<string, string | undefined> }}
 * @throws {Error} with one line of advice
 */
export function chromium () {
  const direct = process.env.TEST_CHROMIUM || onPath('chromium', 'chromium-browser', 'google-chrome')
  if (direct) return { program: direct, env: process.env }
  if (!hasApt()) throw new Error(ADVICE)
  try {
    const { root, env } = fetchPackage('chromium')
    const program = join(root, 'usr/lib/chromium/chromium')
    if (!existsSync(program)) throw new Error('chromium is not in the package')
    return { program, env }
  } catch (cause) {
    throw new Error(`${ADVICE} (fetching Debian's failed: ${String(cause.stderr || cause.message).trim().split('\n')[0]})`)
  }
}
