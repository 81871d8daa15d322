import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import t from 'tap'
import ts from 'typescript'
import { EVERYONE, ONLY_IN, ROOMS, roomsTable } from './support/rooms.ts'

const MAY_IMPORT = new Map(ROOMS.map(({ name, may }) => [name, new Set([...may, ...(EVERYONE.includes(name) ? [] : EVERYONE)])]))

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
      if (other !== part && MAY_IMPORT.get(part)?.has(other) !== true) t.fail(`${file} imports ${from}: ${part} may not know ${other}`)
    }
  }
})

t.test('frameworks and clients are named where they belong', async t => {
  for (const file of files) {
    for (const { from } of importsOf(file)) {
      const rule = ONLY_IN.find(({ what }) => what.test(from))
      const place = file.replace(/^src\//, '').replace(/\.ts$/, '')
      if (rule?.places.some(name => place === name || place.startsWith(`${name}/`)) === false) t.fail(`${file} imports ${from}`)
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

t.test('imports go round in no circle, not even of types', async t => {
  const done = new Set<string>()
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) t.fail([...path.slice(path.indexOf(file)), file].join(' → '))
    if (path.includes(file) || done.has(file)) return
    for (const { from } of importsOf(file)) if (from.startsWith('.')) visit(within(file, from), [...path, file])
    done.add(file)
  }
  for (const file of files) visit(file, [])
})

t.test('the page of the architecture shows the rooms as they are held', async t => {
  t.ok(textOf('docs/architecture.md').includes(roomsTable()), 'docs/architecture.md: npm run docs')
})

t.test('a type name means one thing', async t => {
  const places = new Map<string, string[]>()
  for (const file of files) {
    ts.forEachChild(ts.createSourceFile(file, textOf(file), ts.ScriptTarget.Latest), node => {
      if (!ts.isInterfaceDeclaration(node) && !ts.isTypeAliasDeclaration(node) && !ts.isClassDeclaration(node)) return
      const name = node.name?.text ?? ''
      places.set(name, [...places.get(name) ?? [], file])
    })
  }
  for (const [name, files] of places) if (files.length > 1) t.fail(`${name}: ${files.join(', ')}`)
})

t.test('a page that code names is there', async t => {
  const named = ['src', 'plugins', 'routes', 'measure', 'test', 'scripts'].flatMap(folder =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter(path => /\.(ts|mjs|lua)$/.test(path) && !path.includes('node_modules')).map(path => `${folder}/${path}`))
  for (const file of named) {
    for (const [page] of textOf(file).matchAll(/\bdocs\/[\w./-]+\.md\b/g)) if (!existsSync(join(root, page))) t.fail(`${file} names ${page}`)
  }
})
