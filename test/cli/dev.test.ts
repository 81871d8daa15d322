/** `dev`: what is saved is served, and nobody who is connected notices. */
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readable } from '../../src/telemetry/readable.ts'
import { folder } from '../support/app.ts'
import { startServer } from '../support/processes.ts'
import { until } from '../support/until.ts'

/** How often tools are saved; `npm run measure dev` asks for more. */
const CHANGES = Number(process.env.DEV_CHANGES ?? 12)
/** Another Node, and with it tools in TypeScript. */
const OTHER_NODE = process.env.DEV_NODE
const ENDING = OTHER_NODE === undefined ? 'mjs' : 'ts'
const PER_SECOND = 200
const KEY = 'sk-of-someone-who-writes-tools-0123456789'
const HEADERS = { authorization: `Bearer ${KEY}`, 'content-type': 'application/json', accept: 'application/json, text/event-stream' }

const TOOL = (name: string, description: string, ending = 'mjs') => `import { defineTool, Type } from 'secure-mcp-server'
import { value } from './_value.${ending}'
export default defineTool({ name: '${name}', description: '${description}', input: Type.Object({}), run: ()${ending === 'ts' ? ': string' : ''} => value })
`

interface Dev { url: string, tools: string, output: () => string, pid: number }

async function startDev (t: Test, env: Record<string, string> = {}, ending = 'mjs'): Promise<Dev> {
  const cwd = folder(t)
  const tools = join(cwd, 'tools')
  mkdirSync(tools)
  writeFileSync(join(tools, `saved.${ending}`), TOOL('saved', 'version 0', ending))
  writeFileSync(join(tools, `_value.${ending}`), "export const value = 'value 0'\n")
  const { url, output, child } = await startServer(t, {
    node: ending === 'ts' ? OTHER_NODE! : process.execPath, cwd, args: ['dev'], env: { MCP_API_KEY: KEY, RATE_LIMIT_API_KEY: '1000000', ...env }
  })
  return { url, tools, output, pid: child.pid! }
}

async function send (url: string, method: string, params: object = {}, headers: Record<string, string> = {}): Promise<Response> {
  return await fetch(url, { method: 'POST', headers: { ...HEADERS, ...headers }, body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }) })
}

const textOf = async (url: string, name = 'saved') => await (await send(url, 'tools/call', { name, arguments: {} })).text()
const listOf = async (url: string) => await (await send(url, 'tools/list')).text()

t.test(`under ${PER_SECOND} calls a second, ${CHANGES} changes of a tool and its helper fail no call and end no session and no stream`, async t => {
  const dev = await startDev(t, {}, ENDING)
  const began = await send(dev.url, 'initialize', { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'test', version: '1' } })
  const session = { 'mcp-session-id': began.headers.get('mcp-session-id')!, 'mcp-protocol-version': '2025-06-18' }
  const stream = await fetch(dev.url, { headers: { ...HEADERS, ...session, accept: 'text/event-stream' } })
  let told = ''
  let streamEnded = false
  listen(stream, part => { told += part }).catch(() => {}).finally(() => { streamEnded = true })

  const load = startLoad(dev.url)
  const before = await memoryOf(dev.pid)
  let slowest = 0
  for (let i = 1; i <= CHANGES; i++) {
    const saved = performance.now()
    // Helpers by themselves, tools by themselves, and in the way of editors that rename over.
    if (i % 2 === 0) {
      writeFileSync(join(dev.tools, '_next'), `export const value = 'value ${i}'\n`)
      renameSync(join(dev.tools, '_next'), join(dev.tools, `_value.${ENDING}`))
      await until(async () => (await textOf(dev.url)).includes(`value ${i}"`), 30_000)
    } else {
      writeFileSync(join(dev.tools, `saved.${ENDING}`), TOOL('saved', `version ${i}`, ENDING))
      await until(async () => (await listOf(dev.url)).includes(`version ${i}"`), 30_000)
    }
    slowest = Math.max(slowest, performance.now() - saved)
  }
  const { calls, failed } = await load.stop()
  const grown = await memoryOf(dev.pid) - before
  t.comment(`figure: ${calls} calls, ${failed.length} failed, ${CHANGES} changes, the slowest served after ${Math.round(slowest)} ms, ${Math.round(grown)} MiB more memory`)
  t.strictSame(failed.slice(0, 3), [])
  t.ok(calls > CHANGES)
  t.ok(grown < 100, `memory grew by ${Math.round(grown)} MiB`)

  await until(() => told.split('notifications/tools/list_changed').length > Math.ceil(CHANGES / 2), 30_000)
  t.notOk(streamEnded, 'the stream is open')
  t.equal((await send(dev.url, 'tools/list', {}, session)).status, 200, 'the session is known')
})

async function listen (stream: Response, heard: (part: string) => void): Promise<void> {
  for await (const part of stream.body!.pipeThrough(new TextDecoderStream())) heard(part)
}

function startLoad (url: string) {
  const failed: string[] = []
  const open = new Set<Promise<void>>()
  let calls = 0
  const timer = setInterval(() => {
    for (let i = 0; i < PER_SECOND / 50; i++) {
      calls++
      const call = textOf(url).then(text => { if (!/"text":"value \d+"/.test(text)) failed.push(text) }, error => { failed.push(String(error)) })
      open.add(call)
      call.finally(() => open.delete(call))
    }
  }, 20)
  return {
    async stop () {
      clearInterval(timer)
      await Promise.all(open)
      return { calls, failed }
    }
  }
}

/** MiB that a process holds. */
async function memoryOf (pid: number): Promise<number> {
  if (process.platform !== 'linux') return 0
  const { readFile } = await import('node:fs/promises')
  return Number(/^VmRSS:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))![1]) / 1024
}

t.test('a file that is wrong is named with its line, and what was served before stays', async t => {
  const dev = await startDev(t)
  const wrong: Array<[string, string, RegExp]> = [
    ['_value.mjs', 'export const value = \n', /_value\.mjs, line \d/],
    ['_value.mjs', "export const value = 'x'\nthrow new Error('not today')\n", /saved\.mjs: cannot be loaded: not today/],
    ['_value.mjs', "export const other = 'x'\n", /does not provide an export named 'value'/],
    ['saved.mjs', 'export default 42\n', /saved\.mjs: the default export must be/],
    ['saved.mjs', TOOL('saved', ''), /saved\.mjs: tool "saved" needs a description/]
  ]
  for (const [name, text, said] of wrong) {
    writeFileSync(join(dev.tools, name), text)
    await until(() => said.test(dev.output()), 30_000)
    t.match(await textOf(dev.url), 'value 0', name)
    t.match(await listOf(dev.url), 'version 0', name)
    writeFileSync(join(dev.tools, 'saved.mjs'), TOOL('saved', 'version 0'))
    writeFileSync(join(dev.tools, '_value.mjs'), "export const value = 'value 0'\n")
  }
  writeFileSync(join(dev.tools, '_value.mjs'), "export const value = 'mended'\n")
  await until(async () => (await textOf(dev.url)).includes('mended'), 30_000)
})

t.test('a call under way ends with the code that it began with', async t => {
  const dev = await startDev(t)
  const [begun, mayEnd] = [`${dev.tools}-begun`, `${dev.tools}-may-end`]
  const tool = (description: string, run: string) => `import { existsSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { defineTool, Type } from 'secure-mcp-server'
export default defineTool({ name: 'waits', description: '${description}', input: Type.Object({}), async run () { ${run} } })
`
  const waits = `writeFileSync(${JSON.stringify(begun)}, ''); while (!existsSync(${JSON.stringify(mayEnd)})) await sleep(20); return 'old'`
  writeFileSync(join(dev.tools, 'waits.mjs'), tool('waits for a file', waits))
  await until(async () => (await listOf(dev.url)).includes('waits'), 30_000)
  const old = textOf(dev.url, 'waits')
  await until(() => existsSync(begun))
  writeFileSync(join(dev.tools, 'waits.mjs'), tool('waits no more', "return 'new'"))
  // Calls of the old one would wait.
  await until(async () => (await listOf(dev.url)).includes('waits no more'))
  t.match(await textOf(dev.url, 'waits'), 'new')
  writeFileSync(mayEnd, '')
  t.match(await old, '"old"')
})

t.test('files and folders come and go, CommonJS too', async t => {
  const dev = await startDev(t)
  writeFileSync(join(dev.tools, 'more.cjs'), "module.exports = { kind: 'tool', tool: { name: 'more', description: 'x', input: { type: 'object' }, run: () => require('./lib/_text.cjs') } }")
  mkdirSync(join(dev.tools, 'lib'))
  writeFileSync(join(dev.tools, 'lib/_text.cjs'), "module.exports = 'first'")
  await until(async () => (await textOf(dev.url, 'more')).includes('first'), 30_000)
  writeFileSync(join(dev.tools, 'lib/_text.cjs'), "module.exports = 'second'")
  await until(async () => (await textOf(dev.url, 'more')).includes('second'), 30_000)
  rmSync(join(dev.tools, 'more.cjs'))
  await until(async () => !(await listOf(dev.url)).includes('"more"'), 30_000)
  renameSync(dev.tools, `${dev.tools}-away`)
  await until(async () => !(await listOf(dev.url)).includes('"saved"'), 30_000)
  renameSync(`${dev.tools}-away`, dev.tools)
  await until(async () => (await listOf(dev.url)).includes('"saved"'), 30_000)
  writeFileSync(join(dev.tools, 'saved.mjs'), TOOL('saved', 'after it came back'))
  await until(async () => (await listOf(dev.url)).includes('after it came back'), 30_000)
})

t.test('a call is one readable line', async t => {
  const dev = await startDev(t)
  await textOf(dev.url)
  await textOf(dev.url, 'absent')
  await fetch(dev.url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' })
  await until(() => /AUTHENTICATION_REQUIRED/.test(dev.output()), 30_000)
  t.match(dev.output(), /^\d\d:\d\d:\d\d {2}saved +served +\d+\.\d ms {2}key:default$/m)
  t.match(dev.output(), /^\d\d:\d\d:\d\d {2}absent +UNKNOWN_TOOL +\d+\.\d ms {2}key:default {2}\(no such tool\)$/m)
  t.match(dev.output(), /^\d\d:\d\d:\d\d {2}POST \/mcp +AUTHENTICATION_REQUIRED +\d+\.\d ms {2}nobody/m)
  t.notMatch(dev.output(), /^\{/m)
  t.notMatch(dev.output(), KEY)

  t.equal(readable('no JSON\n'), 'no JSON\n')
  t.equal(readable('{"level":"warn","time":"2026-11-28T04:05:06.789Z","why":"it is so","n":1,"msg":"told"}\n'), '04:05:06  warn: told: it is so  n=1\n')
  t.match(readable('{"level":"error","time":"2026-11-28T04:05:06.789Z","reqId":"x","err":{"message":"m","stack":"Error: m\\n  at y"},"msg":"tool failed"}\n'), /tool failed\nError: m\n {2}at y\n$/)
})

t.test('dev with authentication off says so, and on loopback only', async t => {
  const dev = await startDev(t, { MCP_AUTH_ENABLED: 'false' })
  t.match(dev.output(), 'OFF: everyone who reaches this address may call everything')
  await t.rejects(startDev(t, { MCP_AUTH_ENABLED: 'false', HOST: '0.0.0.0' }), /ended with code 2/)
})
