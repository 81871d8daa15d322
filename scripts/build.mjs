// `npm run build`: what tsc does not copy, so that dist is complete in itself; and the stamp that setup looks at.
import { chmodSync, cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import ts from 'typescript'

cpSync('src', 'dist/src', { recursive: true, filter: path => path.endsWith('.lua') || statSync(path).isDirectory() })
removeInnerDeclarations()
removeComments()
// What package.json names as the command is started as a program, by a link to it in the image.
chmodSync('dist/src/cli/main.js', 0o755)
writeFileSync('dist/.built', '')

/** Declarations that no entry of the package leads to say nothing to anybody, and would be a fifth of it. */
function removeInnerDeclarations () {
  const { exports } = JSON.parse(readFileSync('package.json', 'utf8'))
  const reached = new Set()
  const follow = file => {
    if (reached.has(file)) return
    reached.add(file)
    for (const [, path] of readFileSync(file, 'utf8').matchAll(/(?:from|import|import\() ?['"](\.[^'"]+)\.[jt]s['"]/g)) follow(resolve(dirname(file), `${path}.d.ts`))
  }
  for (const { types } of Object.values(exports)) if (types !== undefined) follow(resolve(types))
  for (const file of built('.d.ts')) if (!reached.has(file)) rmSync(file)
}

/** Comments are for whoever changes the source, and would be a fifth of the package. Those of declarations stay: editors show them. */
function removeComments () {
  for (const file of built('.js')) {
    const { outputText } = ts.transpileModule(readFileSync(file, 'utf8'), {
      compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext, removeComments: true, verbatimModuleSyntax: true }
    })
    writeFileSync(file, outputText)
  }
}

function built (ending) {
  return readdirSync('dist', { recursive: true }).filter(path => path.endsWith(ending)).map(path => resolve(join('dist', path)))
}
