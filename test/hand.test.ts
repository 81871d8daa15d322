/** How the source is written, as far as a program can judge it. Each bound is what CONTRIBUTING.md asks for, or what is left to mend. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import ts from 'typescript'

const root = join(import.meta.dirname, '..')
const sources = ['src', 'plugins', 'routes'].flatMap(folder =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter(path => path.endsWith('.ts')).map(path => `${folder}/${path}`))
  .map(file => ts.createSourceFile(file, readFileSync(join(root, file), 'utf8'), ts.ScriptTarget.Latest, true))

interface Named { where: string, lines: number, nested: boolean, parameters: number }

/** What a function is called, by itself or by the constant or member that holds it. Undefined for a callback. */
function nameOf (node: ts.Node): string | undefined {
  if ((ts.isFunctionDeclaration(node) || ts.isMethodDeclaration(node) || ts.isFunctionExpression(node)) && node.name !== undefined) {
    return node.name.getText()
  }
  const { parent } = node
  if (ts.isArrowFunction(node) || ts.isFunctionExpression(node)) {
    const holder = ts.isVariableDeclaration(parent) || ts.isPropertyAssignment(parent) || ts.isPropertyDeclaration(parent)
    return holder ? parent.name.getText() : undefined
  }
  return ts.isConstructorDeclaration(node) ? 'constructor' : undefined
}

function functionsOf (source: ts.SourceFile): Named[] {
  const found: Named[] = []
  const visit = (node: ts.Node, inFunction: boolean): void => {
    const isFunction = ts.isFunctionLike(node) && 'body' in node && node.body !== undefined
    const name = isFunction ? nameOf(node) : undefined
    if (isFunction && name !== undefined) {
      const lines = source.getLineAndCharacterOfPosition(node.end).line - source.getLineAndCharacterOfPosition(node.getStart()).line + 1
      found.push({ where: `${source.fileName} ${name}`, lines, nested: inFunction, parameters: node.parameters.length })
    }
    ts.forEachChild(node, child => visit(child, inFunction || isFunction))
  }
  visit(source, false)
  return found
}

function castsOf (source: ts.SourceFile): number {
  let casts = 0
  const visit = (node: ts.Node): void => {
    if (ts.isAsExpression(node) && node.type.getText() !== 'const') casts++
    ts.forEachChild(node, visit)
  }
  visit(source)
  return casts
}

const functions = sources.flatMap(functionsOf)
const lines = sources.flatMap(({ text }) => text.split('\n'))

t.test('no function is longer than a screen', async t => {
  for (const { where, lines } of functions) if (lines > 60) t.fail(`${where}: ${lines} lines`)
})

t.test('functions stand where outlines and tests find them', async t => {
  const nested = functions.filter(({ nested }) => nested).length / functions.length
  t.comment(`figure: ${(nested * 100).toFixed(1)} % of ${functions.length} functions stand in another`)
  t.ok(nested <= 0.2)
})

t.test('a function takes an object rather than a fifth parameter', async t => {
  const long = functions.filter(({ parameters }) => parameters > 4)
  t.comment(`figure: ${long.length} functions take five: ${long.map(({ where }) => where).join('; ')}`)
  t.ok(long.length <= 1)
})

t.test('casts and wide lines become fewer', async t => {
  const casts = sources.reduce((sum, source) => sum + castsOf(source), 0) / lines.length * 1000
  // Words of messages, expressions and markup stand whole: broken, nobody finds them.
  const wide = lines.filter(line => line.length > 120)
  const code = wide.filter(line => !/['`/]/.test(line))
  t.comment(`figure: ${casts.toFixed(1)} casts per 1,000 lines, ${wide.length} wide lines, ${code.length} of them without a text`)
  t.ok(casts <= 8.5, 'casts')
  t.same(code, [], 'a wide line holds a text or an expression')
  t.ok(wide.length <= 165, 'wide lines')
})
