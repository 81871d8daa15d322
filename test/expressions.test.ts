/**
 * No regular expression of the sources takes longer than in proportion to its
 * text: each is found in the syntax tree and fed what makes backtracking slow.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import ts from 'typescript'
import { PERMISSION_PATTERN } from '../src/core/permissions.ts'
import { uriTemplate } from '../src/tools/uri-template.ts'
import { KNOWN_FORMS } from '../src/core/secret-form.ts'
import { ID_AT_END, ID_AT_START } from '../src/upstreams/bounded-lines.ts'
import { NEVER_FORWARDED } from '../src/upstreams/outgoing.ts'

const root = join(import.meta.dirname, '..')
const files = ['src', 'plugins', 'routes'].flatMap(folder =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).filter(path => path.endsWith('.ts')).map(path => `${folder}/${path}`))

/** Files that build expressions from data, and from what. */
const FROM_DATA: Readonly<Record<string, string>> = {
  'src/cli/keys.ts': 'PERMISSION_PATTERN, which is fed below',
  'src/core/linear-pattern.ts': 'patterns of schemas, of a form that cannot backtrack, or only parsed: test/core/linear-pattern.test.ts',
  'src/core/plain-schema.ts': 'patterns of settings and records, which stand in the sources and are found there',
  'src/core/oauth-scopes.ts': 'PERMISSION_PATTERN, which is fed below',
  'src/core/secret-form.ts': 'KNOWN_FORMS, which is fed below',
  'src/upstreams/bounded-lines.ts': 'ID_AT_START and ID_AT_END, which are fed below',
  'src/upstreams/outgoing.ts': 'NEVER_FORWARDED, which is fed below'
}

interface Found { where: string, expression: RegExp }

function expressionsOf (file: string): { literals: Found[], built: number } {
  const source = ts.createSourceFile(file, readFileSync(join(root, file), 'utf8'), ts.ScriptTarget.Latest)
  const literals: Found[] = []
  let built = 0
  const visit = (node: ts.Node): void => {
    if (ts.isRegularExpressionLiteral(node)) {
      const [, pattern, flags] = /^\/([^]*)\/([a-z]*)$/.exec(node.text)!
      literals.push({ where: `${file}: ${node.text}`, expression: new RegExp(pattern!, flags) })
    } else if (ts.isPropertyAssignment(node) && node.name.getText(source) === 'pattern' && ts.isStringLiteralLike(node.initializer)) {
      literals.push({ where: `${file}: pattern ${node.initializer.text}`, expression: new RegExp(node.initializer.text, 'u') })
    } else if ((ts.isNewExpression(node) || ts.isCallExpression(node)) && ts.isIdentifier(node.expression) && node.expression.text === 'RegExp') {
      built++
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return { literals, built }
}

const PUMPS = [
  'a', 'A', '0', ' ', '\t', '\n', '.', '-', '_', '/', '\\', ':', ';', ',', '=', '"', "'", '<', '>', '(', ')', '{', '}', '[', ']', '%', '&', '#', '@', '*', '|', '+', '$', '`', '\0', 'é', '\u2028', '😀',
  'a ', 'a.', 'a-', 'a,', 'a=', ' a', '//', 'a/', '//a', 'ab', 'aA0', '0.', '-a', '%2', '%2e', '&#', '<a ', '-eyJ', 'eyJa.', 'sk-', 'mcpk_', '${', '{a}', '\r\n', '; ', '=a;', '("', 'x='
]

/** CPU, not time: other processes may be busy. The least of several, since a collection may fall into one. */
function cost (expression: RegExp, text: string, runs: number): number {
  let least = Infinity
  for (let i = 0; i < runs; i++) {
    expression.lastIndex = 0
    const start = process.cpuUsage()
    // Every match, without what a replacement would hold in memory.
    while (expression.test(text) && expression.global);
    const { user, system } = process.cpuUsage(start)
    least = Math.min(least, user + system)
  }
  return least
}

/** Four times the text may take eight times as long; a quadratic expression takes sixteen. */
const MOST_GROWTH = 8
/** Below this a ratio says nothing, µs. */
const NOISE = 3000
/**
 * Pumps have at most 24 characters, so a quadratic expression begins ten thousand times in the longest and reads half
 * of it each time: a second. A longer text finds no more, and costs four times as much.
 */
const LENGTHS = [16_000, 64_000, 256_000]

/** Long texts are made once: making them costs more than reading them. */
const made = new Map<string, string>()

function textOf (pump: string, length: number): string {
  const key = `${length} ${pump}`
  let text = made.get(key)
  if (text === undefined) {
    text = Buffer.from(pump.repeat(Math.ceil(length / pump.length)) + '!').toString()
    if (PUMPS.includes(pump)) made.set(key, text)
  }
  return text
}

function slowOn (expression: RegExp, pump: string): string | undefined {
  const make = (length: number) => textOf(pump, length)
  let before = cost(expression, make(4_000), 1)
  for (const length of LENGTHS) {
    let now = cost(expression, make(length), 1)
    if (now > NOISE && now > MOST_GROWTH * before) {
      before = Math.max(cost(expression, make(length / 4), 3), NOISE / 4)
      now = cost(expression, make(length), 3)
      if (now > MOST_GROWTH * before) return `${JSON.stringify(pump)} at ${length}: ${before} µs, four times as long ${now} µs`
    }
    before = now
  }
  return undefined
}

/** Some expressions stand in several files. */
const fed = new Map<string, string[]>()

/** Every pump on which it is slow, those among them that are made of itself. */
function slownessOf (expression: RegExp): string[] {
  const known = fed.get(String(expression))
  if (known !== undefined) return known
  // What it is made of itself, in pieces: an expression is slowest on what nearly fits.
  const own = expression.source.replace(/\\[bBdDwWsS]|\(\?(?:[:=!]|<[=!])|[\\^$?*+()[\]{}|]/g, '\n').split('\n').filter(part => part.length > 1 && part.length < 24)
  const slow = [...PUMPS, ...new Set(own)].map(pump => slowOn(expression, pump)).filter(found => found !== undefined)
  fed.set(String(expression), slow)
  return slow
}

const all = files.map(file => ({ file, ...expressionsOf(file) }))

t.test('expressions are found, and those built from data have a test of their own', async t => {
  t.ok(all.flatMap(({ literals }) => literals).length > 60, 'the tree was read')
  t.strictSame(all.filter(({ built }) => built > 0).map(({ file }) => file).sort(), Object.keys(FROM_DATA).sort(), 'built from data')
  for (const expression of [new RegExp(PERMISSION_PATTERN), KNOWN_FORMS, ID_AT_START, ID_AT_END, NEVER_FORWARDED]) {
    for (const pump of PUMPS) t.equal(slowOn(expression, pump), undefined, `${expression.source.slice(0, 40)} on ${pump}`)
  }
})

t.test('a URI is held to a template in proportion to its length, whatever does not fit', async t => {
  for (const [template, pump] of [['a://{b}', 'b'], ['a://{b}-{c}', '-'], ['a://{b}.{c}.{d}', '.a'], ['a://{b}a{c}a{d}a{e}', 'a']] as const) {
    const { match } = uriTemplate(template)!
    const once = (length: number) => {
      const start = process.cpuUsage()
      for (let i = 0; i < 20; i++) match(`a://${pump.repeat(length / pump.length)}#`)
      return process.cpuUsage(start).user
    }
    // The least of several: the process compiles and collects beside what is measured.
    const cost = (length: number) => Math.min(...Array.from({ length: 7 }, () => once(length)))
    cost(1000)
    t.ok(cost(4000) < 8 * Math.max(cost(1000), NOISE), template)
  }
})

t.test('the measure finds what it is for', async t => {
  t.match(slowOn(/\beyJ[\w-]{8,}\./, '-eyJ'), /at \d+/, 'a run that is tried from every place in it')
  t.match(slowOn(/\s+$/, ' '), /at \d+/)
  t.equal(slowOn(/^[a-z]+$/, 'a'), undefined)
})

for (const { file, literals } of all) {
  if (literals.length === 0) continue
  t.test(`${file}: ${literals.length} are linear`, async t => {
    for (const { where, expression } of literals) {
      t.strictSame(slownessOf(expression), [], where)
    }
  })
}
