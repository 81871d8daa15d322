// `npm run build`: what tsc does not copy, so that dist is complete in itself; and the stamp that setup looks at.
import { chmodSync, cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

cpSync('src', 'dist/src', { recursive: true, filter: path => path.endsWith('.lua') || statSync(path).isDirectory() })
removeInnerDeclarations()
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
  const all = readdirSync('dist', { recursive: true }).filter(path => path.endsWith('.d.ts')).map(path => resolve(join('dist', path)))
  for (const file of all) if (!reached.has(file)) rmSync(file)
}
