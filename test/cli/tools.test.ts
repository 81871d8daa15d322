/** What commands say of tools that servers behind this one bring, without the server and without asking anybody. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { memoryStore } from '../../src/state/memory/store.ts'
import { readUpstreamsFile } from '../../src/upstreams/file.ts'
import { NO_LISTS } from '../../src/upstreams/listing.ts'
import { SharedCatalogue } from '../../src/upstreams/shared-catalogue.ts'
import { folder, silent } from '../support/app.ts'
import { secureMcp } from '../support/processes.ts'

const LONG = 'Reads a file, and says much about it. '.repeat(20)
const read = { name: 'read', description: LONG, inputSchema: { type: 'object' } }
const SERVERS = {
  fs: { command: 'fs-server', tools: { deny: ['drop'] } },
  web: { url: 'https://web.example/mcp' },
  never: { url: 'https://never.example/mcp' }
}

/** A folder in which `fs` and `web` were listed: one tool has changed since it was approved, one is held from the first. */
async function listedBefore (t: Test) {
  const cwd = folder(t)
  mkdirSync(join(cwd, 'config'))
  const file = join(cwd, 'config/mcp_servers.json')
  writeFileSync(file, JSON.stringify({ mcpServers: SERVERS }))
  const { entries: [fs, web] } = readUpstreamsFile(file, { sources: { env: {}, secret: () => undefined }, stdio: true, patterns: { has: () => true } })
  const store = memoryStore({ keysFile: join(cwd, 'config/api_keys.json'), folder: join(cwd, 'config') })
  const shared = new SharedCatalogue(store, silent)
  const drop = { name: 'drop', inputSchema: { type: 'object' } }
  await shared.keep(fs!, { ...NO_LISTS, tools: [read, drop] })
  await shared.keep(web!, { ...NO_LISTS, tools: [{ ...read, description: 'Looks.' }, { name: 'bad', inputSchema: { type: 'array' } }] })
  await shared.keep(web!, { ...NO_LISTS, tools: [{ ...read, description: 'Looks!' }, { name: 'bad', inputSchema: { type: 'array' } }] })
  await store.close()
  const run = (...args: string[]) => secureMcp(args, { cwd, env: { MCP_SERVERS_FILE: file } })
  t.equal((await run('keys', 'create', 'reader', '--allow', 'fs_*')).code, 0)
  t.equal((await run('keys', 'create', 'everything', '--allow', '*')).code, 0)
  return { run }
}

t.test('tools list names the server of each tool, and why others are missing', async t => {
  const { run } = await listedBefore(t)
  const { code, out, err } = await run('tools', 'list')
  t.equal(code, 0, err)
  t.match(out, /fs_read +fs +1 .*reader/)
  t.notMatch(out, /web_read|fs_drop/)
  t.match(err, /fs: tool "drop" is not offered: the file leaves it out/)
  t.match(err, /web: tool "read" is not offered: it .*approved/)
  t.match(err, /web: tool "bad" is not offered: its inputSchema/)
  t.match(err, /never has listed nothing yet/)
})

t.test('why names the cause of a tool that is not there', async t => {
  const { run } = await listedBefore(t)
  const why = async (tool: string) => (await run('why', '--key', 'everything', '--tool', tool)).out
  t.match(await why('fs_read'), /would be served/)
  t.match(await why('web_read'), /To mend it: .*"web".*left out: it .*approved/)
  t.match(await why('web_bad'), /left out: its inputSchema/)
  t.match(await why('fs_drop'), /the file leaves it out/)
  t.match(await why('never_x'), /"never" is idle \(it has listed nothing yet\)/)
})

t.test('tools cost estimates what the list of each key takes, by server', async t => {
  const { run } = await listedBefore(t)
  const { out, err } = await run('tools', 'cost')
  t.match(out, /reader +fs +1 +~\d{3}/)
  t.match(err, /an estimate/)
  const rows = JSON.parse((await run('tools', 'cost', '--json')).out) as Array<{ key: string, upstream?: string, tools: number, tokens: number }>
  t.strictSame(rows.filter(({ key }) => key === 'reader').map(({ upstream, tools }) => [upstream, tools]), [['fs', 1]])
  const all = rows.filter(({ key }) => key === 'everything')
  t.strictSame(new Set(all.map(({ upstream }) => upstream)), new Set(['fs', undefined]))
  t.ok(all[0]!.tokens >= all[1]!.tokens, 'the dearest first')
  const { tokens } = all.find(({ upstream }) => upstream === 'fs')!
  t.ok(tokens >= LONG.length / 4 && tokens < LONG.length / 2)
})
