// What `npm start` and `npm test` run first: installs and builds what is missing. Node's own modules only.
import { spawnSync } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

const SOURCES = ['src', 'plugins', 'routes', 'console', 'scripts/build.mjs', 'package.json', 'tsconfig.build.json']

if (newest(['package-lock.json']) > stamp('node_modules/.package-lock.json')) {
  run('Installing dependencies', ['ci', '--no-audit', '--no-fund', '--loglevel=error'])
}
if (newest(SOURCES) > stamp('dist/.built')) run('Building', ['run', '--silent', 'build'])

/** npm, as whoever started this found it. */
function run (what, args) {
  process.stderr.write(`${what} …\n`)
  const npm = process.env.npm_execpath
  const env = { ...process.env, NODE_ENV: 'development' }
  const { status } = npm?.endsWith('.js')
    ? spawnSync(process.execPath, [npm, ...args], { stdio: ['ignore', 2, 2], env })
    : spawnSync('npm', args, { stdio: ['ignore', 2, 2], env, shell: process.platform === 'win32' })
  if (status !== 0) {
    process.stderr.write(`${what} failed; try: npm ${args.join(' ')}\n`)
    process.exit(1)
  }
}

function stamp (path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? -1
}

function newest (paths) {
  let latest = 0
  for (const path of paths) {
    const found = statSync(path, { throwIfNoEntry: false })
    if (found === undefined) continue
    latest = Math.max(latest, found.isDirectory() ? newest(readdirSync(path).map(name => join(path, name))) : found.mtimeMs)
  }
  return latest
}
