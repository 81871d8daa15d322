import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import t from 'tap'

/** Who may import whom: a part may name itself and what is listed for it. Packages have their own list below. */
const EVERYONE = ['errors', 'core', 'files', 'telemetry'] as const
const MAY_IMPORT: Record<string, readonly string[]> = {
  errors: [],
  core: ['errors'],
  files: ['core', 'errors'],
  telemetry: ['core', 'errors'],
  settings: [...EVERYONE, 'secrets'],
  secrets: [...EVERYONE],
  resilience: [...EVERYONE],
  state: [...EVERYONE, 'settings', 'resilience'],
  auth: [...EVERYONE, 'settings', 'resilience', 'state'],
  tools: [...EVERYONE],
  decision: [...EVERYONE, 'settings', 'auth', 'tools', 'state', 'resilience'],
  mcp: [...EVERYONE, 'state', 'auth', 'tools', 'decision', 'resilience'],
  'jwt-verifiers': ['auth'],
  runtime: [...EVERYONE, 'settings', 'secrets', 'resilience', 'state', 'auth', 'tools', 'decision', 'jwt-verifiers'],
  plugins: [...EVERYONE, 'resilience', 'state', 'auth', 'tools', 'decision', 'mcp'],
  routes: [...EVERYONE, 'resilience', 'settings', 'state', 'auth', 'tools', 'decision', 'mcp', 'plugins'],
  app: [...EVERYONE, 'settings', 'state', 'auth', 'tools', 'decision', 'mcp', 'plugins', 'routes', 'runtime'],
  management: [...EVERYONE, 'settings', 'state', 'auth', 'decision', 'plugins', 'routes', 'runtime'],
  server: [...EVERYONE, 'app', 'management', 'runtime', 'mcp', 'settings', 'secrets', 'state', 'auth'],
  operate: [...EVERYONE, 'settings', 'secrets', 'state', 'auth', 'tools', 'decision'],
  cli: [...EVERYONE, 'server', 'runtime', 'operate', 'settings', 'secrets', 'state', 'auth', 'tools', 'mcp']
}

/** What may be named in some places only: parts, or a path within one. */
const ONLY_IN: ReadonlyArray<{ what: RegExp, parts: readonly string[] }> = [
  { what: /^(fastify|fastify-plugin|@fastify\/.*)$/, parts: ['plugins', 'routes', 'app', 'management', 'jwt-verifiers'] },
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

t.test('values of the protocol\'s SDK are named in mcp/sdk alone, types elsewhere in mcp', async t => {
  for (const file of files) {
    for (const { from, typeOnly } of importsOf(file)) {
      if (from.startsWith('@modelcontextprotocol/') && !typeOnly && !file.startsWith('src/mcp/sdk/')) t.fail(`${file} imports ${from}`)
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
