/** Servers that start late or never, answer what is no answer, claim what is not so, or repeat our secrets; and a file that is swapped. */
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import type { UpstreamEntry } from '../../src/upstreams/entry.ts'
import { Asker } from '../../measure/upstreams/asker.ts'
import { addKey, build, folder, messageOf, modern } from '../support/app.ts'
import { entryOf } from '../support/entries.ts'
import { MemoryWire } from '../support/memory-wire.ts'
import { startServer } from '../support/processes.ts'
import { Fault, ScriptedUpstream, tool, TOOLS, type Script } from '../support/scripted-upstream.ts'
import { until } from '../support/until.ts'
import { startHttpUpstream } from '../support/upstream-http.ts'

const KEY = 'sk-a-key-of-the-test-of-hostile-servers'

async function behind (t: Test, script: Script, entry: Partial<UpstreamEntry>) {
  const wires: MemoryWire[] = []
  const open = () => {
    const wire = new MemoryWire(new ScriptedUpstream(script))
    wires.push(wire)
    return wire
  }
  const built = await build(t, { upstreams: { entries: [entryOf('s', entry)], open } })
  await built.app.ready()
  const { key } = await addKey(built.store)
  const ask = async (method: string, params: Record<string, unknown> = {}) => messageOf(await modern(built.app, method, params, { key }))
  const call = async () => (await ask('tools/call', { name: 's_echo', arguments: { text: 'a' } })).result.content[0].text as string
  return { ...built, wires, ask, call }
}

/** The server as a process, with a file. */
async function serving (t: Test, mcpServers: object, env: Record<string, string> = {}) {
  const cwd = folder(t)
  mkdirSync(join(cwd, 'config'))
  const file = join(cwd, 'config/mcp_servers.json')
  writeFileSync(file, JSON.stringify({ mcpServers }))
  const served = await startServer(t, { cwd, env: { MCP_API_KEY: KEY, RATE_LIMIT_API_KEY: '100000', ...env } })
  const asker = new Asker(served.url, { era: '2026', headers: { authorization: `Bearer ${KEY}` } })
  const call = async (name: string, args: object = {}) => {
    const { result, error } = await asker.ask('tools/call', { name, arguments: args })
    return error === undefined ? (result as { content: Array<{ text: string }> }).content[0]!.text : JSON.stringify(error)
  }
  return { ...served, cwd, file, call, names: async () => (await asker.list('tools')).map(({ name }) => String(name)) }
}

t.test('a server that does not finish its start is named: by the call at its deadline, and by the start at its own', async t => {
  for (const [entry, told] of [
    [{ timeoutMs: 300, startTimeoutMs: 30_000 }, 'Upstream "s" did not answer within 300 ms'],
    [{ timeoutMs: 30_000, startTimeoutMs: 100 }, /^Upstream "s" did not finish its start: it did not answer within 100 ms/]
  ] as const) {
    let isHanging = false
    const { call, wires, lines } = await behind(t, {
      answers: {
        initialize: ({ params }) => isHanging ? undefined : { protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo: {} }
      }
    }, entry)
    t.equal(await call(), 'a')
    isHanging = true
    wires[0]!.break()
    let said = ''
    t.ok(await until(async () => {
      said = await call()
      return typeof told === 'string' ? said === told : told.test(said)
    }), said)
    if (typeof told === 'string') continue
    const pauses = () => lines.filter(({ msg }) => msg === 'upstream fails').map(({ againMs }) => Number(againMs))
    t.ok(await until(async () => await call() !== '' && pauses().length > 1))
    t.ok(pauses()[1]! > pauses()[0]!, 'it is asked less and less often')
    isHanging = false
    t.ok(await until(async () => await call() === 'a'), 'and used again when it is there')
  }
})

t.test('a revision that is none is refused by name, and what is claimed and lacking is an empty list, told once', async t => {
  const claims = await behind(t, { version: '1999-01-01' }, {})
  t.ok(claims.lines.some(({ msg, why }) => msg === 'upstream fails' && /no revision of MCP that is known here \(it answers "1999-01-01"\)/.test(String(why))))
  const lacks = await behind(t, {
    capabilities: { tools: {}, prompts: {}, resources: {} },
    answers: { 'prompts/list': () => { throw new Fault(-32601, 'no') }, 'resources/list': () => { throw new Fault(-32000, 'no') }, 'resources/templates/list': () => ({ resourceTemplates: 'none' }) }
  }, {})
  t.equal(await lacks.call(), 'a')
  t.same((await lacks.ask('prompts/list')).result.prompts, [])
  const told = () => lacks.lines.filter(({ msg }) => msg === 'upstream list').map(({ what }) => what)
  t.same(told(), ['answers resources/list with error -32000', 'answers resources/templates/list without the list "resourceTemplates"'])
  for (let i = 0; i < 3; i++) lacks.wires[0]!.say('{"jsonrpc":"2.0","method":"notifications/resources/list_changed"}')
  await until(() => lacks.wires[0]!.sent.filter(({ message }) => message.method === 'resources/list').length > 1)
  await lacks.call()
  t.equal(told().length, 2)
})

t.test('an answer that is none fails its call by name, shows nothing of it, and costs the next call nothing', async t => {
  const bomb = gzipSync(Buffer.alloc(30_000_000, 'x'))
  const json = { 'content-type': 'application/json' }
  let respond: (response: ServerResponse, id: unknown) => void = () => {}
  const web = await startHttpUpstream(t, {
    instead (_request, response, { method, params, id }) {
      if (method !== 'tools/call' || params?.name !== 'hang') return false
      respond(response, id)
      return true
    }
  })
  const { call, names, output } = await serving(t, { web: { url: web.url, timeoutMs: 1000, pin: 'off' } })
  t.ok(await until(async () => (await names()).includes('web_hang')))
  const cases: Array<[string, typeof respond, RegExp]> = [
    ['a bomb', response => response.writeHead(200, { ...json, 'content-encoding': 'gzip' }).end(bomb), /in an encoding that was not asked for/],
    ['a page', response => response.writeHead(200, { 'content-type': 'text/html' }).end('<title>Log in to db-7.corp.internal</title>'), /text\/html instead of JSON/],
    ['a gateway in trouble', response => response.writeHead(502, { 'content-type': 'text/plain' }).end('connect ECONNREFUSED db-7.corp.internal'), /answered HTTP 502$/],
    ['an error with a status', response => response.writeHead(503, json).end('{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"db-7.corp.internal"}}'), /answered HTTP 503$/],
    ['taken, and no answer', response => response.writeHead(202).end(), /gave no answer$/],
    ['comments alone', response => { response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': wait\n\n') }, /did not answer within 1000 ms$/],
    ['an answer to another', response => response.writeHead(200, json).end('{"jsonrpc":"2.0","id":999999,"result":{"content":[]}}'), /gave no answer$/],
    ['no JSON-RPC', response => response.writeHead(200, json).end('{"ok":true}'), /JSON that is no JSON-RPC$/],
    ['another answer on a stream', response => response.writeHead(200, { 'content-type': 'text/event-stream' }).end('data: {"jsonrpc":"2.0","id":999999,"result":{}}\n\n'), /without an answer$/]
  ]
  for (const [name, answer, told] of cases) {
    respond = answer
    const said = await call('web_hang')
    t.match(said, /^Upstream "web" /, name)
    t.match(said, told, name)
    t.equal(await call('web_echo', { text: name }), name)
  }
  t.notMatch(output(), 'db-7.corp.internal')
})

t.test('what a server was given as a secret is in nothing that it says to callers or to the log', async t => {
  const secret = 'a-secret-of-the-entry-0123'
  const fault = (code: number) => tool(`fault${code}`, () => { throw new Fault(code, `refused ${secret}`, { token: secret }) })
  const web = await startHttpUpstream(t, { tools: [...TOOLS, fault(401), fault(429), fault(-32001)] })
  const { call, names, output } = await serving(t, { web: { url: web.url, headers: { 'x-token': '${TOKEN}' }, pin: 'off' } }, { TOKEN: secret, MCP_DEBUG: 'true' })
  t.ok(await until(async () => (await names()).includes('web_fault401')))
  const forged = await Promise.all([call('web_fault401'), call('web_fault429')])
  for (const said of forged) t.match(said, /^\{"code":-32603,"message":"refused \[redacted\]"/)
  t.match(await call('web_fault-32001'), /^\{"code":-32001,"message":"refused \[redacted\]","data":\{"token":"\[redacted\]"/)
  t.ok(web.heads.every(head => head['x-token'] === secret))
  t.notMatch(output(), secret)
})

t.test('a file that is swapped, as a mount does, is followed; one that is broken, empty or gone changes nothing', async t => {
  const web = await startHttpUpstream(t)
  const entry = { url: web.url, pin: 'off' }
  const { call, names, file, cwd, output } = await serving(t, { one: entry })
  t.ok(await until(async () => (await names()).includes('one_echo')))
  let failed = 0
  const over = new AbortController()
  const calling = (async () => {
    while (!over.signal.aborted) if (await call('one_echo', { text: 'a' }) !== 'a') failed++
  })()
  const swap = (name: string, content: string) => {
    mkdirSync(join(cwd, name))
    writeFileSync(join(cwd, name, 'mcp_servers.json'), content)
    symlinkSync(join(cwd, name, 'mcp_servers.json'), `${file}.link`)
    renameSync(`${file}.link`, file)
  }
  const told = () => output().split('stays in force').length - 1
  const wrongs: Array<() => void> = [() => swap('broken', '{"mcpServers": {'), () => swap('empty', ''), () => rmSync(file)]
  for (const [i, wrong] of wrongs.entries()) {
    wrong()
    t.ok(await until(() => told() > i), 'it is told')
    t.ok((await names()).includes('one_echo'))
  }
  swap('second', JSON.stringify({ mcpServers: { one: entry, two: entry } }))
  t.ok(await until(async () => (await names()).includes('two_echo')))
  over.abort()
  await calling
  t.equal(failed, 0)
  swap('none', '{"mcpServers": {}}')
  t.ok(await until(async () => !(await names()).includes('one_echo')), 'this is how to have none')
})
