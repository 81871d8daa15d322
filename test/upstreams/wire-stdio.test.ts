import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { childEnvironment, type ChildOptions } from '../../src/upstreams/child.ts'
import { Reaper } from '../../src/upstreams/reaper.ts'
import { StdioWire } from '../../src/upstreams/wire-stdio.ts'
import type { WireFailure } from '../../src/upstreams/wire.ts'
import { until } from '../support/until.ts'

const PROGRAMS = join(import.meta.dirname, 'child-programs.mjs')
const LOADER = join(import.meta.dirname, '../../scripts/typescript.mjs')
const MAX = 1024 * 1024

interface Started {
  wire: StdioWire
  texts: string[]
  tooLarge: Array<string | number>
  ends: string[]
  logged: Array<Record<string, unknown>>
  /** Ask, and wait for the result. */
  ask (params?: object): Promise<Record<string, unknown>>
}

function start (t: Test, args: string[], options: Partial<ChildOptions> & { maxAnswerBytes?: number } = {}): Started {
  const { maxAnswerBytes = MAX, ...child } = options
  const logged: Started['logged'] = []
  const take = (data: object) => { logged.push(data as Record<string, unknown>) }
  const wire = new StdioWire({
    child: { command: process.execPath, args: [PROGRAMS, ...args], env: childEnvironment(process.env, {}), reaper: new Reaper(process.env.PATH), ...child },
    maxAnswerBytes,
    log: { debug: take, info: take, warn: take, error: take },
    mask: text => text.replaceAll('given-secret', '[redacted]')
  })
  t.teardown(() => wire.close())
  const texts: string[] = []
  const tooLarge: Array<string | number> = []
  const ends: string[] = []
  const waiting = new Map<number, (result: Record<string, unknown>) => void>()
  wire.onText = text => {
    texts.push(text)
    let message: { jsonrpc?: string, id?: number, result?: Record<string, unknown> }
    try { message = JSON.parse(text) } catch { return false }
    if (message.jsonrpc !== '2.0') return false
    if (message.id !== undefined) waiting.get(message.id)?.(message.result!)
    return true
  }
  wire.onTooLarge = id => tooLarge.push(id)
  wire.onClose = why => ends.push(why)
  let last = 100
  return {
    wire,
    texts,
    tooLarge,
    ends,
    logged,
    ask: (params = {}) => new Promise((resolve, reject) => {
      const id = ++last
      waiting.set(id, resolve)
      wire.send(JSON.stringify({ jsonrpc: '2.0', id, method: 'x', params }), { onEnd: failure => reject(new Error(failure?.message)) })
    })
  }
}

/** Whether a process runs; one that has ended and waits to be looked after by its parent does not. */
function alive (pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

t.test('messages go both ways, many at once, in any script', async t => {
  const { ask, ends } = start(t, ['echo'])
  const texts = Array.from({ length: 200 }, (_, i) => `${i} – 名前 \u{1f600} \u2028`)
  const results = await Promise.all(texts.map(text => ask({ text })))
  t.strictSame(results.map(({ text }) => text), texts)
  t.strictSame(ends, [])
})

t.test('what is no message is skipped, told of once and counted; CRLF and a byte order mark are taken', async t => {
  const { ask, wire, logged } = start(t, ['banner'])
  t.strictSame(await ask({ a: 1 }), { a: 1 })
  t.equal(wire.noise, 5, 'a banner, a log line, a batch, half a message, two in one line')
  const warnings = logged.filter(({ begins }) => begins !== undefined)
  t.strictSame(warnings.map(({ begins }) => String(begins).trim()), ['Welcome to the server'])
})

t.test('a child that writes 20 MB to stderr answers; the end of it is kept, a little is logged', async t => {
  const { ask, wire, logged } = start(t, ['stderr'])
  t.strictSame(await ask({ a: 1 }), { a: 1 })
  await until(() => wire.stderr.length > 4000)
  t.ok(wire.stderr.length <= 8192)
  t.ok(logged.filter(({ stderr }) => stderr !== undefined).length <= 200)
})

t.test('secrets in what a child writes are masked', async t => {
  const secret = 'sk-' + 'a1B2c3D4e5F6g7H8i9J0'
  const { wire, logged } = start(t, [], { args: ['-e', `console.log("token ${secret} in use"); console.error("using ${secret} and given-secret"); setInterval(() => {}, 1000)`] })
  await until(() => wire.noise === 1 && wire.stderr !== '')
  t.notMatch(JSON.stringify([logged, wire.stderr]), /a1B2c3D4e5|given-secret/)
  t.match(wire.stderr, '[redacted]')
})

t.test('an answer of 50 MB fails its call alone, wherever its id stands', async t => {
  for (const idLast of [false, true]) {
    const { ask, wire, tooLarge, ends } = start(t, ['large'])
    await ask({})
    const before = process.memoryUsage().rss
    wire.send(JSON.stringify({ jsonrpc: '2.0', id: 7, method: 'x', params: { size: 50_000_000, idLast } }))
    t.strictSame(await ask({ after: true }), { after: true }, 'the next call is answered')
    t.strictSame(tooLarge, [7])
    t.strictSame(ends, [])
    t.ok(process.memoryUsage().rss - before < 100_000_000, 'nothing of it is kept')
  }
})

t.test('a line without an end fails its call before it ends', async t => {
  const { wire, tooLarge } = start(t, ['large'])
  wire.send(JSON.stringify({ jsonrpc: '2.0', id: 8, method: 'x', params: { size: 200_000_000, endless: true } }))
  await until(() => tooLarge.length > 0)
  t.strictSame(tooLarge, [8])
})

t.test('a child that goes on writing lines too long is ended', async t => {
  const { wire, tooLarge, ends } = start(t, ['large'], { maxAnswerBytes: 1000 })
  for (let id = 1; id <= 16; id++) wire.send(JSON.stringify({ jsonrpc: '2.0', id, method: 'x', params: { size: 2000 } }))
  await until(() => ends.length > 0)
  t.strictSame(ends, ['wrote 16 lines of over 1000 bytes within a minute'])
  t.equal(tooLarge.length, 15)
})

t.test('answers of up to the bound are taken', async t => {
  const { ask } = start(t, ['large'])
  t.equal(String((await ask({ size: MAX - 100 })).text).length, MAX - 100)
})

t.test('notifications beyond a thousand a second are dropped, answers are not', async t => {
  const { ask, texts } = start(t, ['flood'])
  await ask({ count: 20_000 })
  t.ok(texts.length < 10_000, `${texts.length} of 20,000 were read`)
})

t.test('a child that exits, or never starts, is told of by name, once', async t => {
  const exits = start(t, ['exit'])
  exits.wire.send('{"jsonrpc":"2.0","id":1,"method":"x"}')
  await until(() => exits.ends.length > 0)
  t.strictSame(exits.ends, ['exited with code 3'])
  const failures: Array<WireFailure | undefined> = []
  exits.wire.send('{"jsonrpc":"2.0","id":2,"method":"x"}', { onEnd: failure => failures.push(failure) })
  t.strictSame(failures, [{ kind: 'closed', message: 'is not running', sent: false }])

  const crashes = start(t, ['crash'])
  await until(() => crashes.ends.length > 0)
  t.strictSame(crashes.ends, ['exited with code 1'])
  t.equal(crashes.wire.stderr, 'cannot find the database\n')

  const missing = start(t, [], { command: 'no-such-program-anywhere' })
  await until(() => missing.ends.length > 0)
  t.strictSame(missing.ends, ['cannot be started: no program "no-such-program-anywhere" on its PATH'])

  const nowhere = start(t, ['echo'], { cwd: '/no/such/folder' })
  await until(() => nowhere.ends.length > 0)
  t.strictSame(nowhere.ends, ['cannot be started: its cwd is no folder'])

  const notExecutable = start(t, [], { command: PROGRAMS })
  await until(() => notExecutable.ends.length > 0)
  t.strictSame(notExecutable.ends, [`cannot be started: "${PROGRAMS}" may not be executed`])
})

t.test('a child that closes its output is ended', async t => {
  const { ends, wire } = start(t, ['mute'])
  const { pid } = wire
  await until(() => ends.length > 0)
  t.equal(alive(pid!), false)
})

t.test('a child that does not read fails the call rather than filling the memory', async t => {
  const { wire } = start(t, ['deaf'], { endMs: { input: 50, term: 50 } })
  const failures: string[] = []
  const text = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'x', params: 'x'.repeat(1_000_000) })
  for (let i = 0; i < 40; i++) {
    wire.send(text, { onEnd: failure => failures.push(failure!.message) })
    await new Promise(resolve => setImmediate(resolve))
  }
  t.ok(failures.length > 10)
  t.equal(failures[0], 'does not read its input')
})

t.test('an end leaves nobody behind: who ignores it, and whom they started', async t => {
  const { wire, texts } = start(t, ['stubborn'], { endMs: { input: 50, term: 50 } })
  await until(() => texts.length > 0)
  const pids = JSON.parse(texts[0]!).params as number[]
  t.ok(pids.every(alive))
  await wire.close()
  t.notOk(pids.some(alive))
})

t.test('a tidy end leaves nobody behind either', async t => {
  const { wire, ask } = start(t, ['leaver'])
  const { pids } = await ask() as { pids: number[] }
  t.ok(pids.every(alive))
  await wire.close()
  t.notOk(pids.some(alive))
})

t.test('a child that exits by itself takes whom it started with it', async t => {
  const { ask, ends } = start(t, ['leaver'])
  const { pids } = await ask() as { pids: number[] }
  process.kill(pids[0]!, 'SIGKILL')
  await until(() => ends.length > 0)
  t.strictSame(ends, ['was ended by SIGKILL'])
  t.notOk(pids.some(alive))
})

t.test('a child sees the list of names and its own, and nothing of this process', async t => {
  const ambient = { ...process.env, STATE_SECRET: 'x', MCP_API_KEY: 'x', REDIS_PASSWORD: 'x', NODE_OPTIONS: '--title=leak', HTTPS_PROXY: 'http://proxy:1', TZ: 'UTC' }
  const { ask } = start(t, ['env'], { env: childEnvironment(ambient, { API_TOKEN: 'own', TZ: 'Europe/Berlin', ABSENT: undefined }) })
  const { env } = await ask() as { env: Record<string, string> }
  const allowed = ['PATH', 'HOME', 'LANG', 'TMPDIR', 'TZ', 'NODE_EXTRA_CA_CERTS', 'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'ALL_PROXY', 'http_proxy', 'https_proxy', 'no_proxy', 'all_proxy', 'API_TOKEN']
  // The test runner follows every process that a test starts.
  t.strictSame(Object.keys(env).filter(name => !allowed.includes(name) && !/^_TAPJS_|^NODE_OPTIONS$/.test(name)), [])
  t.notMatch(env.NODE_OPTIONS ?? '', '--title=leak')
  t.match(env, { API_TOKEN: 'own', TZ: 'Europe/Berlin', HTTPS_PROXY: 'http://proxy:1', PATH: process.env.PATH! })
})

t.test('a command is no shell: what stands in arguments is text', async t => {
  const { ask } = start(t, ['env', '$(id)', '; id', '`id`'])
  const { argv } = await ask() as { argv: string[] }
  t.strictSame(argv.slice(3), ['$(id)', '; id', '`id`'])
})

t.test('nobody is left after any end of this process', async t => {
  const program = `
    import { StdioWire } from ${JSON.stringify(join(import.meta.dirname, '../../src/upstreams/wire-stdio.ts'))}
    import { Reaper } from ${JSON.stringify(join(import.meta.dirname, '../../src/upstreams/reaper.ts'))}
    const none = () => {}
    const reaper = new Reaper(process.env.PATH)
    for (const kind of ['stubborn', 'stubborn', 'echo']) {
      const wire = new StdioWire({ child: { command: process.execPath, args: [${JSON.stringify(PROGRAMS)}, kind], env: process.env, reaper },
        maxAnswerBytes: 1000, log: { debug: none, info: none, warn: none, error: none }, mask: text => text })
      wire.onText = text => { console.log(JSON.stringify(JSON.parse(text).params)); return true }
    }
    process.on('SIGUSR2', () => { throw new Error('crash') })`
  for (const signal of ['SIGKILL', 'SIGTERM', 'SIGUSR2'] as const) {
    const parent = spawn(process.execPath, ['--import', LOADER, '--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'ignore'] })
    t.teardown(() => parent.kill('SIGKILL'))
    let out = ''
    parent.stdout.on('data', part => { out += part })
    await until(() => out.split('\n').length > 2)
    const pids = out.trim().split('\n').flatMap(line => JSON.parse(line) as number[])
    t.equal(pids.length, 4)
    t.ok(pids.every(alive))
    const exited = once(parent, 'exit')
    parent.kill(signal)
    await exited
    const since = performance.now()
    t.ok(await until(() => !pids.some(alive)), signal)
    t.comment(`figure: ${signal}: 0 of ${pids.length} left after ${Math.round(performance.now() - since)} ms`)
  }
})
