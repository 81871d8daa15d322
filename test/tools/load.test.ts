/** Where tool files may lie, what is loaded, and what is told. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { loadTools } from '../../src/tools/load.ts'
import { MAIN } from '../support/processes.ts'

const TOOL = (name: string) => `import { defineTool, Type } from 'secure-mcp-server'
console.log('loaded ${name}')
export default defineTool({ name: '${name}', description: 'Says its name.', input: Type.Object({}), run: () => { console.log('called'); return '${name}' } })
`

/** A folder outside every package, with these files. */
function folder (t: Test, files: Record<string, string>): string {
  const dir = mkdtempSync(join(tmpdir(), 'tools-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(dir, name, '..'), { recursive: true })
    writeFileSync(join(dir, name), text)
  }
  return dir
}

const run = (args: string[], env: Record<string, string>, input = '') =>
  spawnSync(process.execPath, [MAIN, ...args], { env: { PATH: process.env.PATH, ...env }, input, encoding: 'utf8', timeout: 60_000 })

t.test('a tool file anywhere finds the package, and a copy of its own wins', async t => {
  const dir = folder(t, { 'a.mjs': TOOL('from_anywhere'), 'b.js': TOOL('as_js').replace('import ', '// an ES module by its syntax\nimport ') })
  writeFileSync(join(dir, 'package.json'), '{"type":"module"}')
  const listed = run(['tools', 'list', '--json'], { TOOLS_DIR: dir })
  t.match(listed.stdout, /from_anywhere/)
  t.match(listed.stdout, /as_js/)

  const own = folder(t, {
    'a.mjs': 'import { mine } from \'secure-mcp-server\'\nexport default mine',
    'node_modules/secure-mcp-server/package.json': '{"name":"secure-mcp-server","type":"module","exports":"./index.js"}',
    'node_modules/secure-mcp-server/index.js': 'export const mine = { kind: \'tool\', tool: { name: \'mine\', description: \'x\', input: { type: \'object\' }, run () {} } }'
  })
  t.match(run(['tools', 'list', '--json'], { TOOLS_DIR: own }).stdout, /"mine"/)

  const other = folder(t, { 'a.mjs': 'import \'secure-mcp-server-2\'' })
  const refused = run(['tools', 'list'], { TOOLS_DIR: other })
  t.equal(refused.status, 2)
  t.match(refused.stderr, /Cannot find package 'secure-mcp-server-2'/)
})

t.test('what looks like a tool and is not loaded is told', async t => {
  const dir = folder(t, {
    'shop/order.mjs': TOOL('order'),
    'view.jsx': '',
    'lib/_helper.mjs': '',
    '_helper.mjs': 'throw new Error()',
    '.hidden.mjs': 'throw new Error()',
    'a.test.mjs': 'throw new Error()',
    'README.md': '',
    'data.json': '{}',
    'types.d.ts': '',
    'node_modules/x/index.js': ''
  })
  const told: string[] = []
  t.equal((await loadTools(dir, { warn: message => told.push(message) })).length, (await loadTools(undefined)).length)
  t.match(told.sort(), [/shop is not loaded: put tool files into/, /view\.jsx is not loaded/])
  t.equal(told.length, 2)
})

t.test('CommonJS files are loaded', async t => {
  const plain = '{ kind: "tool", tool: { name: "x", description: "x", input: { type: "object" }, run () {} } }'
  const dir = folder(t, { 'a.cjs': `module.exports = ${plain}`, 'b.cjs': `exports.__esModule = true; exports.default = [${plain}]` })
  t.equal((await loadTools(dir)).filter(({ from }) => from !== 'built-in').length, 2)
})

t.test('a folder that is not there stops the start, unless it is the default', async t => {
  await t.rejects(loadTools(join(tmpdir(), 'no-such-folder')), { message: /^TOOLS_DIR: there is no folder .*no-such-folder/ })
  await t.rejects(loadTools(MAIN), { message: /^TOOLS_DIR: .* is a file/ })
  await t.resolves(loadTools('tools'))
})

t.test('over stdio nothing but the protocol reaches standard output', async t => {
  const dir = folder(t, { 'a.mjs': TOOL('chatty').replace('console.log(\'called\')', 'console.log(\'called\'); console.info(1); process.stdout.write(\'raw\')') })
  const messages = [
    { jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'test', version: '1' } } },
    { jsonrpc: '2.0', method: 'notifications/initialized' },
    { jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 'chatty', arguments: {} } }
  ].map(message => JSON.stringify(message) + '\n').join('')
  const { stdout, stderr } = run(['stdio'], { TOOLS_DIR: dir, MCP_API_KEY: 'a-key-for-this-test-that-is-long', API_KEYS_FILE: join(dir, 'none/keys.json') }, messages)
  const lines = stdout.trim().split('\n').map(line => JSON.parse(line) as { id?: number })
  t.match(lines.find(({ id }) => id === 2), { result: { content: [{ text: 'chatty' }] } })
  for (const said of ['loaded chatty', 'called', 'raw']) t.match(stderr, said)
})
