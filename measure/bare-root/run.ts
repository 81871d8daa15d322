// `npm run measure bare-root`: the README's two commands on a machine that has Debian's minimal set, Node, and nothing
// else: a clean clone of what is committed, by somebody without rights. The network is this machine's.
// Needs root on Debian or Ubuntu. --node 24 takes another Node, --only start or --only test one of the two commands.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { appendFileSync, chmodSync, createReadStream, createWriteStream, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { CACHE } from '../../test/support/debian.ts'
import { nodeOf } from '../../test/support/npm.ts'
import { addNode, copyTo } from '../debian-root.ts'
import { cloneTo, pasted, ports, WITHIN_MS } from '../front-door/newcomer.ts'

/** Far beyond what the tests take on a busy machine. */
const TESTS_WITHIN_MS = 60 * 60_000
const HOME = '/home/newcomer'
const USER = '1000'
/** What `npm test` printed. */
const LOG = join(CACHE, 'bare-root.log')

/**
 * Mounts what a booted machine has, and runs the command as somebody without rights. The shell stays, as process 1 of the
 * root: what ends with its parent (--kill-child) loses that when it changes its user.
 */
const ENTER = `
  root=$1 user=$2 folder=$3; shift 3
  mount --bind "$root" "$root"
  mount -t proc proc "$root/proc"
  mount -t tmpfs -o mode=755 tmpfs "$root/dev"
  for name in null zero full random urandom tty; do touch "$root/dev/$name"; mount --bind "/dev/$name" "$root/dev/$name"; done
  ln -s /proc/self/fd "$root/dev/fd"
  mkdir "$root/dev/shm"
  mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
  unshare --root "$root" --setgid "$user" --setuid "$user" --wd "$folder" env -i "$@" || exit $?
`

const { values: { node, only } } = parseArgs({ options: { node: { type: 'string' }, only: { type: 'string' } } })
mkdirSync(CACHE, { recursive: true })
const root = mkdtempSync(join(CACHE, 'bare-root-'))
try {
  prepare(node === undefined ? process.execPath : nodeOf(Number(node)))
  if (only !== 'test') await tryStart()
  if (only !== 'start') await tryTests()
} catch (error) {
  process.stderr.write(`The bare root: ${(error as Error).message.replaceAll(/mcpk_\S+/g, '[key]')}\n`)
  process.exitCode = 1
} finally {
  rmSync(root, { recursive: true, force: true })
}

function prepare (program: string): void {
  copyTo(root)
  chmodSync(root, 0o755)
  addNode(root, program)
  appendFileSync(join(root, 'etc/passwd'), `newcomer:x:${USER}:${USER}::${HOME}:/bin/bash\n`)
  appendFileSync(join(root, 'etc/group'), `newcomer:x:${USER}:\n`)
  mkdirSync(join(root, HOME))
  cloneTo(join(root, HOME, 'secure-mcp-server'))
  execFileSync('chown', ['-R', `${USER}:${USER}`, join(root, HOME)])
  const version = execFileSync(program, ['--version'], { encoding: 'utf8' }).trim()
  process.stdout.write(`a root of Debian's minimal set and Node ${version}\n`)
}

/** Run a command of the README in the clone. */
function enter (command: string[], env: Record<string, string> = {}): ChildProcess {
  const variables = Object.entries({ HOME, USER: 'newcomer', PATH: '/usr/local/bin:/usr/bin:/bin', ...env }).map(([name, value]) => `${name}=${value}`)
  return spawn('unshare', [
    '--mount', '--pid', '--ipc', '--uts', '--fork', '--kill-child', 'sh', '-ec', ENTER, 'sh', root, USER, `${HOME}/secure-mcp-server`, ...variables, ...command
  ], { stdio: ['ignore', 'pipe', 'pipe'] })
}

async function tryStart (): Promise<void> {
  const began = performance.now()
  const server = enter(['npm', 'start'], await ports())
  const ended = new Promise(resolve => server.once('exit', resolve))
  try {
    const { seconds, tools } = await pasted(server, began, async () => undefined)
    if (tools.length === 0) throw new Error('a client with the snippet saw no tool')
    process.stdout.write(`npm start: the printed curl line was answered after ${seconds.toFixed(0)} s (${WITHIN_MS / 1000} are wanted of a quiet machine); a client with the snippet saw ${tools.length} tools\n`)
  } finally {
    server.kill('SIGKILL') // and with it all that it started
    await ended
  }
}

/** What this was started with that says which cases the tests take. */
function handedOn (names: string[]): Record<string, string> {
  return Object.fromEntries(names.flatMap(name => process.env[name] === undefined ? [] : [[name, process.env[name]!]]))
}

async function tryTests (): Promise<void> {
  const began = performance.now()
  const tests = enter(['npm', 'test'], handedOn(['TEST_SEED', 'TEST_CASES']))
  const late = setTimeout(() => tests.kill('SIGKILL'), TESTS_WITHIN_MS)
  const log = createWriteStream(LOG)
  tests.stdout!.pipe(log, { end: false })
  tests.stderr!.pipe(log, { end: false })
  const code = await new Promise(resolve => tests.once('close', (code, signal) => resolve(code ?? signal)))
  clearTimeout(late)
  await new Promise<void>(resolve => { log.end(() => resolve()) })

  let totals = 'no totals'
  for await (const line of createInterface({ input: createReadStream(LOG) })) {
    if (/^# \{ total: /.test(line)) totals = line.slice(2)
    if (/^ *not ok /.test(line)) process.stdout.write(`${line.slice(0, 300)}\n`)
  }
  process.stdout.write(`npm test: ${totals}, after ${((performance.now() - began) / 1000).toFixed(0)} s\n`)
  if (code !== 0 || totals === 'no totals') throw new Error(`npm test ended with ${String(code)}; ${LOG} has all that it printed`)
}
