/**
 * `npm run measure upstreams [-- registry --record]`: MCP servers of the registry behind one endpoint, each listed and called; then
 * `everything` asked directly and through this server, over stdio and HTTP, by clients of both eras. Ends with 1 if something differs.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual, parseArgs } from 'node:util'
import { MAIN } from '../../test/support/processes.ts'
import { until } from '../../test/support/until.ts'
import { circumstances, markdownTable, writeSection } from '../report.ts'
import { Asker, type Json } from './asker.ts'
import { differencesOf } from './fidelity.ts'
import { installed, realServers } from './real-servers.ts'

const { values: { record } } = parseArgs({ allowPositionals: true, options: { record: { type: 'boolean', default: false } } })
const folder = mkdtempSync(join(tmpdir(), 'upstreams-'))
const children: ChildProcess[] = []
process.once('exit', () => {
  for (const child of children) child.kill('SIGTERM')
  rmSync(folder, { recursive: true, force: true })
})
const failures: string[] = []
const fail = (what: string) => { failures.push(what) }
const [KEY, READER] = [newKey(), newKey()]
const servers = realServers(folder)
const programs = installed(servers)

const rows = await eightServers()
const cells = await fourCells()
const table = `${markdownTable(['server', 'tools', 'call', 'answer', 'ms'], rows)}\n\n${markdownTable(['everything over', 'client', 'compared', 'different'], cells)}`
console.log(table)
for (const failure of failures) console.error(`FAILED ${failure}`)
if (failures.length > 0) process.exitCode = 1
if (record) {
  writeSection('upstreams', ['## Servers of the registry behind this one', '', circumstances('npm run measure upstreams -- --record'), '',
    `${servers.map(({ spec }) => spec).join(', ')}. An error of a server that asks the internet or needs an account is its own answer, passed on.`,
    'A comparison is of whole answers, names of tools and prompts apart.', '', table].join('\n'))
}
process.exit()

async function eightServers (): Promise<unknown[][]> {
  const url = await serve(Object.fromEntries(servers.map(({ name, args = [], env = {} }) => {
    return [name, { command: process.execPath, args: [programs.get(name)!, ...args], env, cwd: folder, pin: 'off', startTimeoutMs: 60_000 }]
  })))
  const client = new Asker(url, { era: '2026', headers: bearer(KEY) })
  const names = async (asker: Asker) => (await asker.list('tools')).map(({ name }) => String(name))
  await until(async () => {
    const listed = await names(client)
    return servers.every(({ name }) => listed.some(tool => tool.startsWith(`${name}_`)))
  }, 90_000).catch(() => fail('not every server was listed'))
  const listed = await names(client)
  const reader = await names(new Asker(url, { era: '2026', headers: bearer(READER) }))
  const expected = listed.filter(name => name.startsWith('filesystem_read_'))
  if (expected.length === 0 || !isDeepStrictEqual(reader, expected)) fail(`a key with filesystem_read_* sees ${reader.join(', ')}`)
  const rows: unknown[][] = []
  for (const { name, call, mayFail = false } of servers) {
    const began = performance.now()
    const { result, error } = await client.ask('tools/call', { name: `${name}_${call.tool}`, arguments: call.arguments })
    const said = firstText(result) ?? (error === undefined ? 'no text' : String((error as Json).message))
    const isError = error !== undefined || result?.isError === true
    if (isError && !mayFail) fail(`${name}: ${said}`)
    const tools = listed.filter(tool => tool.startsWith(`${name}_`)).length
    rows.push([name, tools, call.tool, `${isError ? 'its own error' : 'result'}: ${said.replace(/\s+/g, ' ').slice(0, 60)}`, Math.round(performance.now() - began)])
  }
  rows.push(['a key with `filesystem_read_*`', reader.length, 'sees', reader.map(name => `\`${name}\``).join(' '), ''])
  return rows
}

async function fourCells (): Promise<unknown[][]> {
  const program = programs.get('everything')!
  const port = await freePort()
  const direct = `http://127.0.0.1:${port}/mcp`
  children.push(spawn(process.execPath, [program, 'streamableHttp'], { env: { ...process.env, PORT: String(port) }, stdio: 'ignore' }))
  await until(() => fetch(direct).then(() => true, () => false))
  const rows: unknown[][] = []
  for (const [over, entry] of [['stdio', { command: process.execPath, args: [program] }], ['HTTP', { url: direct }]] as const) {
    const url = await serve({ e: { ...entry, pin: 'off' } })
    for (const era of ['2025', '2026'] as const) {
      const through = new Asker(url, { era, headers: bearer(KEY) })
      await until(async () => (await through.list('tools')).some(({ name }) => name === 'e_echo'))
      const { compared, different } = await differencesOf(new Asker(direct, { era: '2025', headers: {} }), through, 'e_')
      for (const what of different) fail(`everything over ${over}, client of ${era}: ${what}`)
      rows.push([over, era, compared, different.length])
    }
  }
  return rows
}

/** This server with these upstreams, on a free port. @returns the URL of its endpoint */
async function serve (mcpServers: object): Promise<string> {
  const own = mkdtempSync(join(folder, 'server-'))
  const file = join(own, 'mcp_servers.json')
  const keys = join(own, 'api_keys.json')
  writeFileSync(file, JSON.stringify({ mcpServers }))
  writeFileSync(keys, JSON.stringify({ api_keys: { all: KEY, reader: READER }, key_permissions: { all: ['*'], reader: ['filesystem_read_*'] } }), { mode: 0o600 })
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, PORT: '0', MANAGEMENT_PORT: '0', MCP_SERVERS_FILE: file, API_KEYS_FILE: keys, RATE_LIMIT_API_KEY: '100000' }
  const child = spawn(process.execPath, [MAIN], { cwd: own, env, stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
  let output = ''
  for (const pipe of [child.stdout, child.stderr]) pipe.on('data', part => { output += String(part) })
  const found = () => /MCP endpoint {3}(\S+)/.exec(output)?.[1]
  await until(() => {
    if (child.exitCode !== null) throw new Error(`the server ended: ${output.slice(-2000)}`)
    return found() !== undefined
  }, 60_000)
  return found()!
}

function firstText (result: Json | undefined): string | undefined {
  const content = result?.content as Json[] | undefined
  const text = content?.find(({ type }) => type === 'text')?.text
  return typeof text === 'string' ? text : undefined
}

function newKey (): string {
  return `sk-${randomBytes(24).toString('base64url')}`
}

function bearer (key: string): Record<string, string> {
  return { authorization: `Bearer ${key}` }
}

async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}
