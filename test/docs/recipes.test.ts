/** Who follows a recipe of CONTRIBUTING.md opens few files, and all that there are to open. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { recipes } from '../support/recipes.ts'

const root = join(import.meta.dirname, '../..')
const MOST_FILES = 4

/**
 * One of each kind that is there already: how files name it where it is made known, in which folders, and who names it
 * because they use it. A file beyond those has become part of the recipe.
 */
const EXAMPLES: Readonly<Record<string, { says: RegExp, under: string, uses: readonly string[] }>> = {
  'A tool': { says: /\bgetTime\b|get-time\.ts/, under: 'src', uses: [] },
  'A setting': { says: /\bSESSION_IDLE_MS\b/, under: 'src', uses: ['src/plugin.ts'] },
  'A refusal': { says: /\bTOO_MANY_SESSIONS\b/, under: 'src', uses: ['src/mcp/sessions/sessions.ts'] },
  'A state operation': { says: /\bgiveBack\b|give-back/, under: 'src/state', uses: [] },
  'An MCP method': { says: /'completion\/complete'/, under: 'src/mcp', uses: ['src/mcp/admit.ts'] },
  'A command': { says: /'\.\/status\.ts'/, under: 'src/cli', uses: [] }
}

const all = recipes()
const isNamed = (path: string, named: readonly string[]) =>
  named.some(file => new RegExp(`^${file.replaceAll('.', '\\.').replaceAll(/<\w+>/g, '[\\w-]+')}$`).test(path))

t.test('each recipe has its reader open four files at most, and they are there', async t => {
  t.strictSame(Object.keys(EXAMPLES).filter(name => !all.some(recipe => recipe.name === name)), [], 'recipes with an example')
  for (const { name, files, special } of all.filter(({ name }) => name in EXAMPLES)) {
    t.comment(`figure: ${name}: ${files.length} files: ${files.join(', ')}`)
    t.ok(files.length > 0 && files.length <= MOST_FILES, `${name}: ${files.length}`)
    for (const file of [...files, ...special]) {
      const isThere = file.includes('<') ? readdirSync(join(root, dirname(file))).some(other => isNamed(join(dirname(file), other), [file])) : existsSync(join(root, file))
      t.ok(isThere, `${name}: ${file}`)
    }
  }
})

t.test('what is there already stands in no file that its recipe does not name', async t => {
  for (const { name, files, special } of all.filter(({ name }) => name in EXAMPLES)) {
    const { says, under, uses } = EXAMPLES[name]!
    const saying = readdirSync(join(root, under), { recursive: true, encoding: 'utf8' })
      .map(path => join(under, path))
      .filter(path => path.endsWith('.ts') && says.test(readFileSync(join(root, path), 'utf8')))
    t.ok(saying.length > 0, `${name}: the example is there`)
    t.strictSame(saying.filter(path => !isNamed(path, [...files, ...special, ...uses])), [], `${name}: files without a place in the recipe`)
  }
})
