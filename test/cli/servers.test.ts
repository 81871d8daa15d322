import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { folder } from '../support/app.ts'
import { secureMcp } from '../support/processes.ts'

const CANARY = 'q8Zk3Rw9Tn5Vb7Xc2Md4'
/** The command in a folder of its own; files that are named are in it. */
const runIn = (cwd: string, args: readonly string[], env: Record<string, string> = {}) => secureMcp(
  args.map(arg => arg.includes('.') && !arg.includes('@') ? join(cwd, arg) : arg),
  { cwd, env: { ...(args[1] === 'import' ? { SECURE_CONFIG_FILE: join(cwd, 'config/secure_config.json') } : {}), MCP_SERVERS_FILE: join(cwd, 'config/mcp_servers.json'), ...env } }
)
const secret = (n: number) => `${CANARY}${n}`

/** A file of each client, with a secret in it. */
const CLIENTS: Record<string, string> = {
  'claude_desktop_config.json': JSON.stringify({ mcpServers: { 'Git Hub': { command: 'npx', args: ['-y', 'gh', `--token=${secret(0)}`], env: { GITHUB_TOKEN: secret(1), MODE: 'ro' } } }, globalShortcut: '' }),
  '.claude.json': JSON.stringify({ projects: { '/work': { mcpServers: { docs: { type: 'http', url: 'https://docs.example/mcp', headers: { Authorization: `Bearer ${secret(2)}` } } } } } }),
  'cursor.json': JSON.stringify({ mcpServers: { cur: { command: 'x', envFile: '~/own.env' } } }),
  'vscode.json': '{ // settings\n"inputs": [{"id": "pat", "password": true}], "servers": { "vsc": { "type": "stdio", "command": "x", "env": {"PAT": "${input:pat}"} }, } }',
  'windsurf.json': JSON.stringify({ mcpServers: { wind: { serverUrl: 'https://w.example/mcp', headers: { 'X-Key': secret(3) }, disabledTools: ['drop'] } } }),
  'cline_mcp_settings.json': JSON.stringify({ mcpServers: { cline: { command: 'x', env: { API_KEY: secret(4) }, timeout: 90, alwaysAllow: ['a'], disabled: true } } }),
  'zed.json': '{ "theme": "dark", "context_servers": { "zed": { "command": { "path": "/bin/x", "args": ["a"], "env": { "TOKEN": "' + secret(5) + '" } } } } }',
  'config.toml': `[mcp_servers.codex]\nurl = "https://c.example/mcp"\nbearer_token_env_var = "CODEX_TOKEN"\nenabled_tools = ["a"]\ntool_timeout_sec = 45\n[mcp_servers.codex.http_headers]\nX-Api-Key = "${secret(6)}"\n`,
  'gemini.json': JSON.stringify({ mcpServers: { gem: { httpUrl: 'https://g.example/mcp', timeout: 600, includeTools: ['a'], headers: { 'X-Token': secret(7) } }, sse: { url: 'https://s.example/sse' } } })
}

t.test('the files of nine clients are taken over, and none of their secrets is left in the open', async t => {
  const cwd = folder(t)
  for (const [name, text] of Object.entries(CLIENTS)) writeFileSync(join(cwd, name), text.replace('~', cwd))
  writeFileSync(join(cwd, 'own.env'), `# comment\nexport DB_PASSWORD="${secret(8)}"\n`)
  const run = await runIn(cwd, ['servers', 'import', ...Object.keys(CLIENTS)])
  t.equal(run.code, 0, run.err)
  const text = readFileSync(join(cwd, 'config/mcp_servers.json'), 'utf8')
  for (const shown of [text, run.out, run.err, readFileSync(join(cwd, 'config/secure_config.json'), 'utf8')]) t.notMatch(shown, CANARY)
  const { mcpServers } = JSON.parse(text)
  t.match(mcpServers, {
    'git-hub': { command: 'npx', args: ['-y', 'gh'], env: { TOKEN: '${secret:git_hub_token}', GITHUB_TOKEN: '${secret:git_hub_github_token}', MODE: 'ro' } },
    docs: { url: 'https://docs.example/mcp', headers: { Authorization: 'Bearer ${secret:docs_authorization}' } },
    cur: { env: { DB_PASSWORD: '${secret:cur_db_password}' } },
    vsc: { env: { PAT: '${secret:vsc_pat}' } },
    wind: { url: 'https://w.example/mcp', tools: { deny: ['drop'] }, headers: { 'X-Key': '${secret:wind_x_key}' } },
    cline: { disabled: true, timeoutMs: 90_000 },
    zed: { command: '/bin/x', args: ['a'], env: { TOKEN: '${secret:zed_token}' } },
    codex: { url: 'https://c.example/mcp', tools: { allow: ['a'] }, timeoutMs: 45_000, headers: { Authorization: 'Bearer ${CODEX_TOKEN}', 'X-Api-Key': '${secret:codex_x_api_key}' } },
    gem: { url: 'https://g.example/mcp', timeoutMs: 600, tools: { allow: ['a'] } }
  })
  t.notOk(Object.hasOwn(mcpServers, 'sse'))
  t.match(run.out, /sse: left out\n {2}left out: it speaks SSE/)
  t.match(run.err, /To do: .*vsc: "env\.PAT" names \$\{secret:vsc_pat\}/)
  t.equal(readFileSync(join(cwd, 'gemini.json'), 'utf8'), CLIENTS['gemini.json'], 'the client\'s file is as it was')
  const listed = await secureMcp(['servers', 'list'], { cwd, env: { MCP_SERVERS_FILE: join(cwd, 'config/mcp_servers.json'), CODEX_TOKEN: 'x' } })
  t.notMatch(listed.err, /is no setting/, 'secrets of servers are not mistaken for settings')
  const kept = await runIn(cwd, ['config', 'get', 'git_hub_github_token'])
  t.equal(kept.out.trim(), secret(1))
})

t.test('what is there already stays unless it is to be replaced, and a dry run writes nothing', async t => {
  const cwd = folder(t)
  const file = (url: string) => writeFileSync(join(cwd, 'c.json'), JSON.stringify({ mcpServers: { a: { url } } }))
  const target = join(cwd, 'config/mcp_servers.json')
  file('https://one.example/mcp')
  t.equal((await runIn(cwd, ['servers', 'import', 'c.json', '--dry-run'])).code, 0)
  t.notOk(existsSync(target))
  await runIn(cwd, ['servers', 'import', 'c.json'])
  file('https://two.example/mcp')
  const second = await runIn(cwd, ['servers', 'import', 'c.json'])
  t.match(second.err, /There already.*: a/)
  t.match(readFileSync(target, 'utf8'), 'one.example')
  await runIn(cwd, ['servers', 'import', 'c.json', '--replace'])
  t.match(readFileSync(target, 'utf8'), 'two.example')
  t.match((await runIn(cwd, ['servers', 'list'])).out, /a +http +never/)
})

t.test('what waits is shown with what changed, and approved by the hash that was shown', async t => {
  const cwd = folder(t)
  mkdirSync(join(cwd, 'config'))
  writeFileSync(join(cwd, 'config/mcp_servers.json'), JSON.stringify({ mcpServers: { fs: { command: 'x', pin: 'approve' } } }))
  const listed = (description: string) => ({ at: 1, lists: { tools: [{ name: 'read', description, inputSchema: { type: 'object' } }] } })
  const { parseUpstreamsFile } = await import('../../src/upstreams/file.ts')
  const [entry] = parseUpstreamsFile(readFileSync(join(cwd, 'config/mcp_servers.json'), 'utf8'), 'f', { sources: { env: {}, secret: () => undefined }, stdio: true, patterns: new Set() }).entries
  const keep = (description: string) => {
    const path = join(cwd, 'config/catalogue.json')
    const before = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : {}
    writeFileSync(path, JSON.stringify({ ...before, [`catalogue:fs:${entry!.digest}`]: { text: JSON.stringify(listed(description)), until: Date.now() + 1e9 } }))
  }
  keep('Reads a file.')
  const [held] = JSON.parse((await runIn(cwd, ['tools', 'diff', '--json'])).out)
  t.match(held, { server: 'fs', tool: 'read', approve: /^read@[0-9a-f]{16}$/ })
  keep('Reads a\u200b file.')
  t.match((await runIn(cwd, ['tools', 'approve', 'fs', held.approve])), { code: 2, err: /Look again/ }, 'it changed since it was shown')
  keep('Reads a file.')
  t.equal((await runIn(cwd, ['tools', 'approve', 'fs', held.approve])).code, 0)
  t.match((await runIn(cwd, ['tools', 'diff'])).err, /No tool waits/)
  keep('Reads a\u200b file.')
  const { out } = await runIn(cwd, ['tools', 'diff', 'fs'])
  t.match(out, /- description: "Reads a file\."\n {2}\+ description: "Reads a<U\+200B> file\."/)
  const all = /--all ([0-9a-f]{16})/.exec(out)![1]!
  t.equal((await runIn(cwd, ['tools', 'approve', 'fs', '--all', all])).code, 0)
  t.match((await runIn(cwd, ['tools', 'diff'])).err, /No tool waits/)
})
