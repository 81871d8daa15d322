// A real Redis for tests and measurements: the one on the path, or Debian's, unpacked without root.
import { spawn, type ChildProcess } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fetchPackage, hasApt, onPath, type Program } from './debian.ts'

const ADVICE = 'The tests need a Redis: install redis-server (apt install redis-server, brew install redis, dnf install redis), or set TEST_REDIS_URL.'

let found: Program | undefined

/**
 * How to run redis-server here. Debian's binary decides by its name what it is.
 *
 * @throws {Error} with one line of advice
 */
export function redisServer (): Program {
  found ??= find()
  return found
}

function find (): Program {
  const direct = onPath('redis-server', 'valkey-server')
  if (direct !== undefined) return { program: direct, env: process.env }
  const checker = onPath('redis-check-rdb')
  if (checker !== undefined) return { program: checker, env: process.env }
  if (!hasApt()) throw new Error(ADVICE)
  try {
    const { root, env } = fetchPackage('redis-tools', ['redis-tools', 'libjemalloc2', 'liblzf1'])
    const program = join(root, 'usr/bin/redis-check-rdb')
    if (!existsSync(program)) throw new Error('redis-check-rdb is not in the package')
    return { program, env }
  } catch (cause) {
    const { stderr, message } = cause as Error & { stderr?: string }
    throw new Error(`${ADVICE} (fetching Debian's failed: ${String(stderr || message).trim().split('\n')[0]})`)
  }
}

export interface RedisOptions {
  /** Picks a free one if absent. */
  port?: number
  /** Settings of redis.conf, as arguments; no persistence unless they say so. */
  args?: string[]
  /** Its folder; one of its own, removed at the end, if absent. */
  dir?: string
  /** Start a Sentinel by the file that `args` names. */
  sentinel?: boolean
}

export interface RunningRedis {
  readonly url: string
  readonly port: number
  readonly process: ChildProcess
  stop (signal?: NodeJS.Signals): Promise<void>
}

/** Start a Redis on loopback; it answers once this returns. */
export async function startRedis (options: RedisOptions = {}): Promise<RunningRedis> {
  if (options.port !== undefined) return await start(options)
  return await onFreePort(port => start({ ...options, port }))
}

/** What needs a port, on one that is free; on another where somebody took it in between. */
async function onFreePort<T> (work: (port: number) => Promise<T>): Promise<T> {
  for (let left = 5; ; left--) {
    try {
      return await work(await freePort())
    } catch (error) {
      if (left === 0 || !(error instanceof EndedAtOnce)) throw error
    }
  }
}

class EndedAtOnce extends Error {}

async function start ({ port, args = ['--save', '', '--appendonly', 'no'], dir, sentinel = false }: RedisOptions): Promise<RunningRedis> {
  const { program, env } = redisServer()
  const chosen = port!
  const folder = dir ?? mkdtempSync(join(tmpdir(), 'redis-'))
  const child = spawn(program, sentinel ? args : ['--bind', '127.0.0.1', '--port', String(chosen), '--dir', folder, '--loglevel', 'warning', ...args], {
    argv0: sentinel ? 'redis-sentinel' : 'redis-server', env, stdio: 'ignore'
  })
  const ended = new Promise(resolve => child.once('exit', resolve))
  const killWithUs = () => child.kill('SIGKILL')
  process.once('exit', killWithUs)
  const stop = async (signal: NodeJS.Signals = 'SIGKILL') => {
    child.kill('SIGCONT')
    child.kill(signal)
    await ended
    process.off('exit', killWithUs)
    if (dir === undefined) rmSync(folder, { recursive: true, force: true })
  }
  try {
    await answers(chosen, child)
  } catch (error) {
    await stop()
    throw error
  }
  return { url: `redis://127.0.0.1:${chosen}`, port: chosen, process: child, stop }
}

/** A port that nothing listens on now, below those that the system hands out by itself: none of them takes it before it is used. */
export async function freePort (): Promise<number> {
  for (;;) {
    // Below 20,000, where the bus of a Cluster has its ports: 10,000 above each of these.
    const port = randomInt(10_000, 20_000)
    const server = createServer()
    const bound = await new Promise<boolean>(resolve => server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true)))
    await new Promise<void>(resolve => server.close(() => resolve()))
    if (bound) return port
  }
}

async function answers (port: number, child: ChildProcess): Promise<void> {
  const until = Date.now() + 30_000
  while (Date.now() < until) {
    const reply = await ask(port)
    // Asked first: it may be another that answers on this port.
    if (child.exitCode !== null) throw new EndedAtOnce(`redis ended at once, with code ${child.exitCode}`)
    // Where `default` may do nothing, that it says so is all that is asked.
    if (/PONG|NOAUTH/.test(reply)) return
    await new Promise(resolve => setTimeout(resolve, 30))
  }
  throw new Error('redis did not answer within 30 seconds')
}

function ask (port: number): Promise<string> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'))
    const end = (text: string) => { socket.destroy(); resolve(text) }
    socket.once('data', data => end(String(data))).once('error', () => end('')).setTimeout(500, () => end(''))
  })
}
