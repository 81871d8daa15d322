import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import t from 'tap'

/** Who may import whom: a part may name itself and what is listed for it. Packages have their own list below. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  errors: [],
  core: ['errors'],
  output: [],
  log: ['output'],
  files: [],
  config: ['core', 'errors'],
  secrets: ['core', 'errors', 'files', 'log'],
  state: ['core', 'errors', 'files', 'log', 'config'],
  auth: ['core', 'errors', 'files', 'log', 'config', 'state'],
  tools: ['core', 'errors', 'files', 'log'],
  metrics: ['core', 'errors', 'state'],
  decision: ['core', 'errors', 'log', 'state', 'auth', 'tools'],
  mcp: ['core', 'errors', 'log', 'state', 'auth', 'tools', 'decision'],
  plugins: ['core', 'errors', 'log', 'state', 'auth', 'tools', 'decision', 'mcp', 'metrics'],
  routes: ['core', 'errors', 'log', 'config', 'state', 'auth', 'tools', 'decision', 'mcp', 'metrics', 'plugins'],
  app: ['core', 'errors', 'log', 'config', 'state', 'auth', 'tools', 'decision', 'mcp', 'metrics', 'plugins', 'routes'],
  server: ['app', 'core', 'errors', 'log', 'config', 'state', 'auth', 'secrets', 'metrics', 'routes'],
  cli: ['server', 'app', 'core', 'errors', 'files', 'log', 'config', 'state', 'auth', 'secrets', 'tools', 'mcp']
}

/** What may be named in some places only. */
const ONLY_IN: ReadonlyArray<{ what: RegExp, parts: readonly string[] }> = [
  { what: /^(fastify|fastify-plugin|@fastify\/.*)$/, parts: ['plugins', 'routes', 'app'] },
  { what: /^ioredis$/, parts: ['state'] },
  { what: /^@modelcontextprotocol\//, parts: ['mcp', 'upstreams'] }
]

const root = join(import.meta.dirname, '..')
const files = ['src', 'plugins', 'routes'].flatMap(folder =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter(path => path.endsWith('.ts')).map(path => `${folder}/${path}`))

/** `src/core/answer.ts` is of `core`, `src/app.ts` is `app`, `plugins/auth.ts` is of `plugins`. */
const partOf = (file: string) => (file.startsWith('src/') ? file.slice(4) : file).split('/')[0]!.replace(/\.ts$/, '')
const textOf = (file: string) => readFileSync(join(root, file), 'utf8')

interface Import { from: string, typeOnly: boolean }

/** Every module a file names: imported, re-exported, or imported on the way. */
function importsOf (file: string): Import[] {
  return [...textOf(file).matchAll(/^(?:import|export)\s+(type\s)?[^;'"]*?\bfrom\s+'([^']+)'|^import\s+'([^']+)'|\bimport\(\s*'([^']+)'/gm)]
    .map(([, typeOnly, ...from]) => ({ from: from.find(Boolean)!, typeOnly: typeOnly !== undefined }))
}

const within = (file: string, from: string) => relative(root, join(root, dirname(file), from))

t.test('each part imports only what stands below it', async t => {
  t.ok(files.length > 60, 'the tree was found')
  for (const file of files) {
    const part = partOf(file)
    for (const { from } of importsOf(file)) {
      if (!from.startsWith('.')) continue
      const other = partOf(within(file, from))
      if (other !== part && MAY_IMPORT[part]?.includes(other) !== true) t.fail(`${file} imports ${from}: ${part} may not know ${other}`)
    }
  }
})

t.test('frameworks and clients are named where they belong', async t => {
  for (const file of files) {
    for (const { from } of importsOf(file)) {
      const rule = ONLY_IN.find(({ what }) => what.test(from))
      if (rule?.parts.includes(partOf(file)) === false) t.fail(`${file} imports ${from}`)
    }
  }
})

t.test('the environment and the end of the process belong to the start', async t => {
  for (const file of files) {
    if (/\bprocess\.(env|exit)\b/.test(textOf(file)) && !['server', 'cli'].includes(partOf(file))) t.fail(`${file} reaches for process.env or process.exit`)
  }
})

t.test('the core waits for nothing and reaches for nothing outside the process', async t => {
  // Arithmetic only: digests and random bytes, a checksum, the form of addresses.
  const arithmetic = ['node:crypto', 'node:net', 'node:zlib']
  for (const file of files.filter(file => partOf(file) === 'core')) {
    for (const { from } of importsOf(file)) {
      if (from.startsWith('node:') && !arithmetic.includes(from)) t.fail(`${file} imports ${from}`)
    }
    if (/\b(setTimeout|setInterval|fetch)\(|\bMath\.random\(/.test(textOf(file))) t.fail(`${file} waits, asks or guesses`)
  }
})

t.test('no protocol server outlives its request in a module', async t => {
  // CVE-2026-25536: a server shared by clients gave one the answers of another.
  for (const file of files) {
    if (/^(?:export )?(?:const|let|var) [^\n]*\bnew (?:Mcp)?Server\(/m.test(textOf(file))) t.fail(`${file} holds a server for the whole process`)
  }
})

t.test('imports go round in no circle', async t => {
  const done = new Set<string>()
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) t.fail([...path.slice(path.indexOf(file)), file].join(' → '))
    if (path.includes(file) || done.has(file)) return
    for (const { from, typeOnly } of importsOf(file)) {
      // A type is gone when the program runs.
      if (from.startsWith('.') && !typeOnly) visit(within(file, from), [...path, file])
    }
    done.add(file)
  }
  for (const file of files) visit(file, [])
})
