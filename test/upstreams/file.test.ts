import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseUpstreamsFile, readUpstreamsFile, type FileOptions } from '../../src/upstreams/file.ts'
import { folder } from '../support/app.ts'

const SECRET = 's3cr3t-of-the-file'
const OPTIONS: FileOptions = {
  sources: {
    env: { HOST: 'tools.example', EMPTY: '', STATE_SECRET: 'x'.repeat(40), GREETING: 'hi' },
    secret: name => name.toLowerCase() === 'github_token' ? SECRET : undefined
  },
  stdio: true,
  patterns: new Set(['code_eval'])
}

const parse = (servers: object | string, options = OPTIONS) =>
  parseUpstreamsFile(typeof servers === 'string' ? servers : JSON.stringify({ mcpServers: servers }, null, 2), 'servers.json', options)
const faultsOf = (server: object, options = OPTIONS) => parse({ one: server }, options).faults
/** As the file spells a value. */
const named = (text: string) => `\${${text}}`

t.test('a server is read with the defaults of its transport', async t => {
  const { entries, faults, warnings } = parse({
    'Git Hub': { command: 'npx', args: ['-y', 'x', named('HOST')], env: { TOKEN: named('secret:github_token') }, alwaysAllow: ['a'] },
    docs: { type: 'streamable-http', url: `https://${named('HOST')}/mcp`, headers: { Authorization: `Bearer ${named('secret:GITHUB_TOKEN')}` } }
  })
  t.strictSame(faults, [])
  t.strictSame(warnings, ['servers.json:3: git-hub: alwaysAllow means something to clients only and is ignored'])
  t.match(entries, [
    { name: 'git-hub', prefix: 'git-hub', protocol: 'legacy', questions: false, share: 'all', maxInFlight: 32, target: { kind: 'stdio', args: ['-y', 'x', 'tools.example'] } },
    { name: 'docs', protocol: 'auto', questions: true, share: 'all', maxInFlight: 64, timeoutMs: 30_000, pin: 'trust_first_use', target: { kind: 'http' } }
  ])
  const [stdio, http] = entries.map(({ target }) => target)
  t.equal(stdio?.kind === 'stdio' && stdio.env.get('TOKEN'), named('secret:github_token'), 'a secret is kept by its name')
  t.equal(http?.kind === 'http' && http.headers.get('authorization'), `Bearer ${named('secret:GITHUB_TOKEN')}`)
})

t.test('every fault is told at once, with its line and without a value', async t => {
  const canary = 'canary-9f2'
  const { faults, entries } = parse(`{
  // people write comments
  "mcpServers": {
    "Git Hub": { "command": "npx", "args": ["--token=${named('secret:github_token')}"], "env": {"A": "${named('NOPE')}", "B": 3} },
    "git_hub": { "url": "https://${named('HOST')}/mcp", "timeout": 4, "headers": {"Authorization": "${named('STATE_SECRET')}"} },
    "both": { "command": "x", "url": "y" },
    "old": { "type": "sse", "url": "https://x.example/sse" },
    "user": { "url": "http://u:${canary}@h/" },
    "list": "${canary}",
    "list": { "command": "x", "maxTool": "${canary}" },
    "${'x'.repeat(30)}": { "url": "${canary}" },
  },
  "servers": {}
}`)
  t.match(faults, [
    /^servers\.json:4: git-hub: "args" names \$\{secret:github_token\}, which the process list/,
    /^servers\.json:4: git-hub: "env\.A" names \$\{NOPE\}, but that variable is not set/,
    /^servers\.json:4: git-hub: "env\.B" must be a text/,
    /^servers\.json:5: git-hub: "Git Hub" and "git_hub" are one name here/,
    /^servers\.json:5: git-hub: "timeout" is how a client spells it/,
    /^servers\.json:5: git-hub: "headers\.Authorization" names \$\{STATE_SECRET\}, which holds a secret of this server/,
    /^servers\.json:6: both: has both "command" and "url"/,
    /^servers\.json:7: old: type "sse" .*\/mcp/,
    /^servers\.json:8: user: "url" holds a secret/,
    /^servers\.json:10: "mcpServers\.list" stands twice/,
    /^servers\.json:10: list: "maxTool" is no member of a server; is "maxTools" meant\?/,
    /^servers\.json:11: x+: "x+" cannot be a name/,
    /^servers\.json:11: x+: "url" is no absolute URL/,
    /^servers\.json:13: "servers" is no member of this file/
  ])
  t.equal(faults.length, 14)
  t.strictSame(entries, [])
  t.notMatch(faults.join('\n'), new RegExp(`${canary}|${SECRET}`))
})

t.test('a text that is no such file says what is wrong with it and where', async t => {
  for (const [text, fault] of [
    ['', /^servers\.json:1: is empty/], ['[]', /^servers\.json:1: must be an object with "mcpServers"/], ['{}', /"mcpServers" is missing/],
    ['{"mcpServers": {"a": {"command": "x"}}', /^servers\.json:1: is not JSON: close brace expected/],
    ['{"mcpServers": {\n"a": {"command": "x"}\n"b": {}}}', /^servers\.json:2: is not JSON: comma expected/],
    ['{"mcpServers": []}', /"mcpServers" must be an object/], ['{"mcpServers": {"a": null}}', /a: must be an object/],
    ['{"mcpServers": {"__proto__": {"command": "x"}}}', /"__proto__" cannot be a name/]
  ] as const) t.match(parse(text).faults, [fault], text)
  t.strictSame(parse('{"mcpServers": {}}'), { entries: [], disabled: [], faults: [], warnings: [] })
})

t.test('each member is held to what it may be', async t => {
  const url = 'https://h.example/mcp'
  const wrong: Array<[object, RegExp]> = [
    [{}, /needs "command" .* or "url"/], [{ command: '' }, /"command" must be a text/], [{ command: 'x', headers: {} }, /"headers" does not go with "command"/],
    [{ url, env: {} }, /"env" does not go with "url"/], [{ url, type: 'stdio' }, /needs "command"/], [{ url: 'ftp://h' }, /must begin with https/],
    [{ url: 'https://h.example/#x' }, /fragment/], [{ url: 'http://h.example/', headers: { a: 'b' } }, /plain http to a public address/],
    [{ url: 'http://169.254.169.254/' }, /metadata of a cloud/], [{ url: 'https://[::ffff:10.0.0.1]/', network: 'public' }, /private address/],
    [{ url, headers: { Host: 'x' } }, /may not set host/], [{ url, headers: { 'a b': 'x' } }, /no name of a header/], [{ url, headers: { a: 'x\r\nb: c' } }, /without line ends/],
    [{ url, headers: { a: '1', A: '2' } }, /has a twice/], [{ url, headers: { 'Mcp-Session-Id': 'x' } }, /may not set mcp-session-id/],
    ...['Authorization', 'Cookie', 'X-Api-Key', 'X-Upstream-Authorization', 'X-Forwarded-For', 'Host', 'Proxy-Authorization', 'Mcp-Name', 'DPoP']
      .map((name): [object, RegExp] => [{ url, forwardHeaders: [name] }, /"forwardHeaders" may not name/]),
    [{ url, headers: { 'x-team': 'a' }, forwardHeaders: ['X-Team'] }, /which "headers" sets/],
    [{ command: 'x', prefix: 'a_b' }, /"prefix" must be/], [{ command: 'x', cost: 0 }, /"cost" must be/], [{ command: 'x', cost: { t: 'a' } }, /"cost\.t" must be/],
    [{ command: 'x', rate: { limit: 1 } }, /must be \{"limit"/], [{ command: 'x', rate: { t: { limit: 1, windowMs: 10 } } }, /"rate\.t\.windowMs"/],
    [{ command: 'x', exempt: { nope: 'why' } }, /no inspection pattern "nope"/], [{ command: 'x', exempt: { t: { code_eval: ' ' } } }, /must be the reason/],
    [{ command: 'x', tools: { allow: ['a*b'] } }, /"tools\.allow" must be/], [{ command: 'x', tools: { only: [] } }, /"tools\.only" is no member/],
    [{ command: 'x', questions: true, share: 'all' }, /does not go with "questions"/], [{ command: 'x', timeoutMs: 1 }, /"timeoutMs" must be/],
    [{ command: 'x', env: { A: named('input:pat') } }, /has a \$\{…\} that is none of/], [{ command: 'x', env: { A: named('EMPTY') } }, /not set or empty/],
    [{ command: 'x', env: { A: named('secret:state_secret') } }, /is a setting of this server/], [{ command: 'x', env: { A: named('secret:other') } }, /config set other/],
    [{ command: 'x', args: ['--api-key', 'Zk83hq0cnA72b'] }, /"args" holds a secret/], [{ command: 'x', args: ['ghp_0123456789abcdefghijABCDEFGHIJ012345'] }, /holds a secret/],
    [{ url, auth: { type: 'client_credentials', clientId: 'a' } }, /one of "tokenUrl" and "issuer"/],
    [{ url, auth: { type: 'basic', clientId: 'a', issuer: 'https://i' } }, /"auth\.type" must be/],
    [{ url, auth: { type: 'client_credentials', clientId: 'a', issuer: 'https://i' } }, /needs "clientSecret"/],
    [{ url, auth: { type: 'token_exchange', clientId: 'a', issuer: 'https://i' }, headers: { authorization: 'x' } }, /which "auth" sets/],
    [{ url, auth: { type: 'token_exchange', clientId: 'a', issuer: 'https://i' }, share: 'all' }, /does not go with/],
    [{ url, auth: { type: 'token_exchange', clientId: 'a', tokenUrl: 'https://i.example/t' } }, /would offer nothing/],
    ...['httpUrl', 'serverUrl', 'envFile', 'enabled_tools', 'excludeTools'].map((name): [object, RegExp] => [{ [name]: 'x' }, /servers import/])
  ]
  for (const [server, fault] of wrong) t.match(faultsOf(server).join('\n'), fault, JSON.stringify(server))
  const right: object[] = [
    { command: 'x', env: { KEY: '-----BEGIN\nlines', A: named('NOPE:-there') }, cwd: '/srv' }, { command: 'x', prefix: '' }, { url, uris: ['file:///data/*'] },
    { command: 'x', cost: { t: 3 }, rate: { t: { limit: 1, windowMs: 1000 } }, exempt: { t: { code_eval: 'notebook' } } }, { url: 'http://127.0.0.1:1/', headers: { a: 'b' } },
    { url, forwardHeaders: ['X-Team'] }, { command: 'x', args: ['--port', '3000', '--key-file', '/run/key', '$HOME'] },
    { url, auth: { type: 'client_credentials', clientId: 'a', clientSecret: named('secret:github_token'), issuer: 'https://i.example' } }
  ]
  for (const server of right) t.strictSame(faultsOf(server), [], JSON.stringify(server))
})

t.test('what belongs to one caller gets a connection for each', async t => {
  const url = 'https://h.example/mcp'
  t.match(parse({ a: { command: 'x', questions: true }, b: { url, share: 'caller' } }).entries, [{ share: 'caller', questions: true }, { share: 'caller' }])
})

t.test('programs are refused where they would run on every replica', async t => {
  t.match(faultsOf({ command: 'x' }, { ...OPTIONS, stdio: false }), [/STDIO_UPSTREAMS is off.*"url"/])
  t.strictSame(faultsOf({ command: 'x', disabled: true }, { ...OPTIONS, stdio: false }), [])
})

t.test('a disabled server is left out, whatever it would need', async t => {
  t.match(parse({ off: { url: `https://${named('NOT_SET')}/mcp`, disabled: true }, on: { command: 'x' } }), { faults: [], disabled: ['off'], entries: [{ name: 'on' }] })
})

t.test('two servers have no prefix in common', async t => {
  t.match(parse({ a: { command: 'x' }, b: { command: 'x', prefix: 'a' } }).faults, [/b: has the prefix "a", which a has, too/])
  t.strictSame(parse({ a: { command: 'x', prefix: '' }, b: { command: 'x', prefix: '' } }).faults, [])
})

t.test('what was listed is found again by what names the server, and by no value', async t => {
  const digest = (server: object) => parse({ one: server }).entries[0]!.digest
  const base = digest({ command: 'x', args: ['a'], env: { A: '1' } })
  t.equal(digest({ command: 'x', args: ['a'], env: { A: '2' }, cost: 3, timeoutMs: 200 }), base)
  for (const other of [{ command: 'y', args: ['a'], env: { A: '1' } }, { command: 'x', args: ['b'], env: { A: '1' } }, { command: 'x', args: ['a'], env: { B: '1' } }]) {
    t.not(digest(other), base)
  }
})

t.test('a file that is not there says how to have no servers', async t => {
  const path = join(folder(t), 'mcp_servers.json')
  t.throws(() => readUpstreamsFile(path, OPTIONS), /does not exist; to have no upstreams write/)
  writeFileSync(path, '\ufeff{"mcpServers": {"a": {"command": "x"}}}')
  t.match(readUpstreamsFile(path, OPTIONS).entries, [{ name: 'a' }])
  writeFileSync(path, '{"mcpServers": {"a": {"command": 3}, "b": {"url": "x"}}}')
  t.throws(() => readUpstreamsFile(path, OPTIONS), /MCP_SERVERS_FILE is wrong:\n.*a: "command".*\n.*b: "url"/)
})
