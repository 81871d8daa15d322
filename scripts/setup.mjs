// Makes a clean clone ready: installs and builds what is missing, and nothing else. Built-ins only.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Node ${process.versions.node} is too old: install Node 24 (20.19 at least)`)
  process.exit(1)
}

// An installed package or an image holds dist and no sources: nothing to do there.
if (existsSync('src')) {
  const stamp = join('node_modules', '.package-lock.json')
  if (!existsSync(stamp) || newest('package-lock.json') > newest(stamp)) {
    run('Installing dependencies …', npm(), ['ci', '--no-audit', '--no-fund', '--loglevel=error'])
  }
  const sources = Math.max(...['src', 'plugins', 'routes', 'package.json', 'tsconfig.json', 'tsconfig.build.json'].map(newest))
  if (!existsSync('dist/src/cli/main.js') || sources > newest('dist/.built')) {
    run('Building …', npm(), ['run', '--silent', 'build'])
  }
}

function npm () {
  const path = process.env.npm_execpath
  return path?.endsWith('.js') ? [process.execPath, path] : ['npm']
}

function run (what, [command, ...first], args) {
  console.error(what)
  const { status, error } = spawnSync(command, [...first, ...args], { stdio: ['ignore', 2, 2], env: { ...process.env, npm_config_update_notifier: 'false' } })
  if (status !== 0) {
    console.error(`That failed${error === undefined ? '' : ` (${error.message})`}: run "npm ci" and "npm run build" by hand to see more`)
    process.exit(1)
  }
}

/** When a file, or anything below a folder, was last changed; 0 if there is none. */
function newest (path) {
  if (!existsSync(path)) return 0
  const stat = statSync(path)
  return stat.isDirectory() ? Math.max(stat.mtimeMs, ...readdirSync(path).map(name => newest(join(path, name)))) : stat.mtimeMs
}
