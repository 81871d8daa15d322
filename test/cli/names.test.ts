import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

const root = join(import.meta.dirname, '../..')
const files = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'Dockerfile', 'docs', 'src', 'plugins', 'routes', 'k8s', 'scripts'].flatMap(path => {
  const full = join(root, path)
  return statSync(full).isDirectory()
    ? readdirSync(full, { recursive: true, encoding: 'utf8' }).map(name => join(path, name)).filter(name => statSync(join(root, name)).isFile())
    : [path]
})

t.test('whoever types what a text says runs this package and no other', t => {
  t.ok(files.length > 100, 'the tree was found')
  for (const file of files) {
    for (const [i, line] of readFileSync(join(root, file), 'utf8').split('\n').entries()) {
      // npx asks the registry for a name that is not installed: only the name of this package is ours.
      if (/\bnpx (-\S+ )*secure-mcp(?!-server)\b/.test(line) || /"args": \["(-y", ")?secure-mcp"/.test(line)) t.fail(`${file}:${i + 1}: ${line.trim()}`)
      // Nor is a command shown without its way to be found, but for the line that tells its usage.
      if (/(^|[`\s(])secure-mcp (keys|ip|tokens|config|tools|state|serve|stdio)\b/.test(line) && !/Usage: secure-mcp |secure-mcp config \$\{/.test(line)) t.fail(`${file}:${i + 1}: ${line.trim()}`)
    }
  }
  t.end()
})

t.test('the package and the image offer the command under both names', t => {
  const { name, bin } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { name: string, bin: Record<string, string> }
  t.same(bin, { [name]: 'dist/src/cli/main.js', 'secure-mcp': 'dist/src/cli/main.js' })
  const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8')
  for (const command of Object.keys(bin)) t.match(dockerfile, `ln -s /app/${bin[command]} bin/${command}`)
  t.match(readFileSync(join(root, bin[name]!.replace('dist/', '').replace('.js', '.ts')), 'utf8'), /^#!\/usr\/bin\/env node\n/)
  t.end()
})
