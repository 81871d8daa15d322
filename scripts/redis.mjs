// A real Redis for tests: found on this machine, or fetched from Debian's archive without root and without touching the system.
import { execFileSync, spawn } from 'node:child_process'
import { accessSync, constants, existsSync, mkdirSync, readdirSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { delimiter, join, resolve } from 'node:path'

const CACHE = resolve('.cache/redis')
const INSTALL = 'Redis is needed for the tests: apt install redis-server, brew install redis, apk add redis or dnf install redis; or set TEST_REDIS_URL'

/**
 * @typedef {{ command: string, argv0: string, env: Record<string, string> }} RedisProgram
 * @typedef {{ url: string, port: number, pid: number, stop: (signal?: NodeJS.Signals) => Promise<void> }} RunningRedis
 */

/**
 * The program to run, by the first way that works.
 * @returns {RedisProgram}
 */
export function findRedis () {
  for (const name of ['redis-server', 'valkey-server', 'redis-check-rdb']) {
    // Debian's server is a link to redis-check-rdb, which goes by the name it is called with.
    const command = onPath(name)
    if (command !== undefined) return { command, argv0: name === 'redis-check-rdb' ? 'redis-server' : name, env: {} }
  }
  return cached() ?? fetched()
}

/**
 * Start one on a free port of the loopback address; it ends with this process at the latest.
 * @param {{ args?: string[], port?: number }} [options]
 * @returns {Promise<RunningRedis>}
 */
export async function startRedis ({ args = ['--save', '', '--appendonly', 'no'], port } = {}) {
  const { command, argv0, env } = findRedis()
  const at = port ?? await freePort()
  const child = spawn(command, ['--port', String(at), '--bind', '127.0.0.1', '--daemonize', 'no', ...args], { argv0, env: { ...process.env, ...env }, stdio: 'ignore' })
  const kill = () => { child.kill('SIGKILL') }
  process.once('exit', kill)
  const ended = new Promise(resolve => child.once('exit', resolve))
  await Promise.race([answers(at), ended.then(code => { throw new Error(`redis-server ended with ${code} before it answered`) })])
  return {
    url: `redis://127.0.0.1:${at}`,
    port: at,
    pid: child.pid,
    async stop (signal = 'SIGTERM') {
      process.off('exit', kill)
      child.kill('SIGCONT')
      child.kill(signal)
      await ended
    }
  }
}

/** @returns {Promise<number>} */
export async function freePort () {
  const server = createServer()
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise(resolve => server.close(resolve))
  return port
}

async function answers (port) {
  for (let i = 0; i < 200; i++) {
    const pong = await new Promise(resolve => {
      const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'))
      socket.once('data', data => { socket.destroy(); resolve(String(data).startsWith('+PONG')) })
      socket.once('error', () => resolve(false))
    })
    if (pong) return
    await new Promise(resolve => setTimeout(resolve, 25))
  }
  throw new Error('redis-server did not answer within five seconds')
}

function onPath (name) {
  for (const folder of [...(process.env.PATH ?? '').split(delimiter), '/usr/local/bin', '/opt/homebrew/bin']) {
    try {
      accessSync(join(folder, name), constants.X_OK)
      return join(folder, name)
    } catch {}
  }
  return undefined
}

function cached () {
  const command = join(CACHE, 'root/usr/bin/redis-check-rdb')
  if (!existsSync(command)) return undefined
  const libraries = join(CACHE, 'root/usr/lib')
  const folders = [libraries, ...readdirSync(libraries).map(name => join(libraries, name))]
  return { command, argv0: 'redis-server', env: { LD_LIBRARY_PATH: folders.join(':') } }
}

/** Debian's own packages, with apt's signature checks, into a folder of ours. */
function fetched () {
  if (onPath('apt-get') === undefined || onPath('dpkg') === undefined) throw new Error(INSTALL)
  console.error('Fetching Redis for the tests …')
  const state = join(CACHE, 'apt')
  for (const folder of ['lists/partial', 'cache/archives/partial']) mkdirSync(join(state, folder), { recursive: true })
  const options = [
    `Dir::State=${state}`, `Dir::State::Lists=${state}/lists`, `Dir::Cache=${state}/cache`, 'Dir::State::status=/var/lib/dpkg/status',
    'APT::Sandbox::User=', 'Debug::NoLocking=1'
  ].flatMap(option => ['-o', option])
  const quiet = { cwd: CACHE, stdio: ['ignore', 'pipe', 'pipe'] }
  try {
    execFileSync('apt-get', [...options, '-qq', 'update'], quiet)
    let packages = []
    try {
      packages = String(execFileSync('apt-get', [...options, '-qq', '-s', '--no-install-recommends', 'install', 'redis-tools'], quiet))
        .split('\n').filter(line => line.startsWith('Inst ')).map(line => line.split(' ')[1])
    } catch {}
    if (packages.length === 0) packages = ['redis-tools', 'libjemalloc2', 'liblzf1']
    execFileSync('apt-get', [...options, '-qq', 'download', ...packages], quiet)
    for (const file of readdirSync(CACHE).filter(name => name.endsWith('.deb'))) execFileSync('dpkg', ['-x', file, join(CACHE, 'root')], quiet)
  } catch (error) {
    throw new Error(`${INSTALL} (fetching it failed: ${String(error.stderr ?? error.message).trim().split('\n').at(-1)})`)
  }
  const found = cached()
  if (found === undefined) throw new Error(INSTALL)
  return found
}
