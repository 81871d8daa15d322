// Programs that measurements use and the project does not depend on: installed into .cache, apart from our own packages.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

const CACHE = resolve(import.meta.dirname, '../../.cache')

/**
 * A folder of .cache with these packages in its node_modules.
 *
 * @param name of the folder
 * @param packages `name@version`, exact
 * @param args further ones for npm
 */
export function fetched (name, packages, args = []) {
  const folder = join(CACHE, name)
  const missing = packages.some(spec => !existsSync(join(folder, 'node_modules', spec.slice(0, spec.lastIndexOf('@')))))
  if (missing) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'package.json'), '{"private":true}')
    npm(['install', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error', ...args, ...packages], folder)
  }
  return folder
}

/** npm, as whoever started this found it. */
export function npm (args, cwd) {
  const path = process.env.npm_execpath
  const [program, ...before] = path?.endsWith('.js') ? [process.execPath, path] : ['npm']
  execFileSync(program, [...before, ...args], { cwd, stdio: ['ignore', 'ignore', 'inherit'] })
}

/** A Node of at least this major version: the one that runs this, or one from npm. */
export function nodeOf (major) {
  if (Number(process.versions.node.split('.')[0]) >= major) return process.execPath
  const name = `node-linux-${process.arch}`
  return join(fetched(`node-${major}`, [`${name}@${major}`]), 'node_modules', name, 'bin/node')
}
