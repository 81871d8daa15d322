/** Decisions are named by their number elsewhere, so a number leads to one page. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

const folder = join(import.meta.dirname, '../../docs/decisions')

t.test('each decision has a number of its own, in its name and in its title', async t => {
  const pages = readdirSync(folder).filter(name => /^\d/.test(name))
  t.ok(pages.length > 30)
  const numbers = pages.map(name => name.slice(0, 4))
  t.strictSame(numbers.filter((number, i) => numbers.indexOf(number) !== i), [])
  for (const name of pages) t.ok(readFileSync(join(folder, name), 'utf8').startsWith(`# ${name.slice(0, 4)}: `), name)
})
