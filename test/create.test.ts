/** `npm create secure-mcp-server`: what it writes, and what it leaves alone. `npm run measure release` installs and starts what it made. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t, { type Test } from 'tap'
import { folder } from './support/app.ts'

const CREATE = resolve(import.meta.dirname, '../create/create.js')
const runsTypeScript = Boolean((process.features as { typescript?: unknown }).typescript)
const ending = runsTypeScript ? 'ts' : 'js'

const create = (cwd: string, ...args: string[]) => spawnSync(process.execPath, [CREATE, ...args], { cwd, encoding: 'utf8', env: { PATH: process.env.PATH } })

/** A folder with a package.json, where nothing is installed. */
function existing (t: Test, name = 'My Shop!'): string {
  const path = join(folder(t), name)
  mkdirSync(path)
  writeFileSync(join(path, 'package.json'), '{"name":"mine"}')
  return path
}

t.test('a folder that is there gets what is missing, and its package.json stays', async t => {
  const path = existing(t)
  writeFileSync(join(path, 'README.md'), 'mine')
  const { status, stdout } = create(path, '.')
  t.equal(status, 0)
  t.equal(readFileSync(join(path, 'package.json'), 'utf8'), '{"name":"mine"}')
  t.equal(readFileSync(join(path, 'README.md'), 'utf8'), 'mine')
  t.strictSame(readdirSync(path, { recursive: true, encoding: 'utf8' }).sort(), [
    '.dockerignore', '.gitignore', '.mcp.json', 'Dockerfile', 'README.md', 'package.json', 'test', `test/get_order.test.${ending}`, 'tools',
    `tools/get_order.${ending}`, 'tsconfig.json'
  ])
  t.match(stdout, /exists {2}README\.md/)
  t.match(stdout, new RegExp(`wrote {3}tools/get_order\\.${ending}`))
  t.match(stdout, /package\.json was there and is as it was[^]*npm install "secure-mcp-server@\^\d+\.\d+\.\d+" "zod@\^4/)
  const { mcpServers } = JSON.parse(readFileSync(join(path, '.mcp.json'), 'utf8')) as { mcpServers: object }
  t.strictSame(Object.keys(mcpServers), ['my-shop-'], 'named for the folder')
  t.match(readFileSync(join(path, '.mcp.json'), 'utf8'), '"Bearer ${MCP_API_KEY}"')

  writeFileSync(join(path, `tools/get_order.${ending}`), '// changed')
  t.equal(create(path, '.').status, 0)
  t.equal(readFileSync(join(path, `tools/get_order.${ending}`), 'utf8'), '// changed', 'a second run overwrites nothing')
})

t.test('a link is not written through', async t => {
  const path = existing(t)
  const outside = join(folder(t), 'absent')
  symlinkSync(outside, join(path, 'Dockerfile'))
  t.match(create(path, '.').stdout, /exists {2}Dockerfile/)
  t.throws(() => readFileSync(outside))
})

t.test('a Node without TypeScript gets JavaScript, and is told why', async t => {
  const path = existing(t)
  const { stdout } = create(path, '.')
  if (runsTypeScript) t.notMatch(stdout, 'runs no TypeScript')
  else t.match(stdout, /runs no TypeScript \(22\.18 does\), so the tool and its test are \.js files/)
  const texts = readdirSync(path, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile()).map(({ parentPath, name }) => readFileSync(join(parentPath, name), 'utf8')).join('\n')
  t.notMatch(texts, runsTypeScript ? /get_order(\.test)?\.js/ : /get_order(\.test)?\.ts/)
  t.notMatch(texts, '{{')
})

t.test('wrong use ends with 2 and the usage, what cannot be written with 1', async t => {
  const cwd = folder(t)
  for (const args of [[], ['a', 'b'], ['--template', 'x'], ['--force']]) t.match(create(cwd, ...args), { status: 2, stderr: /^Usage: npm create secure-mcp-server@latest <folder>/ }, args.join(' '))
  t.match(create(cwd, '--help'), { status: 0, stdout: /^Usage/ })
  writeFileSync(join(cwd, 'file'), '')
  t.match(create(cwd, 'file'), { status: 1, stderr: /^file: this is a file; name a folder/ })
  t.strictSame(readdirSync(cwd), ['file'])
})
