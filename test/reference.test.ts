import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { pages } from '../scripts/docs.ts'

const root = join(import.meta.dirname, '..')

t.test('the pages of settings and refusals say what the code says', async t => {
  for (const [path, text] of Object.entries(pages())) {
    t.equal(readFileSync(join(root, path), 'utf8'), text, `${path}: npm run docs`)
  }
})

t.test('what the threat model names as its tests is there', async t => {
  const page = readFileSync(join(root, 'docs/threat-model.md'), 'utf8')
  const rows = page.split('\n').filter(line => line.startsWith('| ')).map(line => line.slice(2, -2).split(' | ')).filter(cells => cells.length === 3 && cells[0] !== 'published failure' && cells[0] !== '---')
  const named = rows.filter(([, , tests]) => /`|chaos/.test(tests!))
  t.ok(named.length >= 25, `${named.length} rows name a test`)
  const chaos = readdirSync(join(root, 'measure/chaos')).filter(name => name.endsWith('.mjs')).map(name => readFileSync(join(root, 'measure/chaos', name), 'utf8')).join('\n')
  for (const [failure, , tests] of named) {
    const about = failure!.slice(0, 40)
    for (const [, file, claim] of tests!.matchAll(/`([a-z0-9/-]+)`(?: "([^"]+)")?/g)) {
      const path = join(root, 'test', `${file}.test.ts`)
      if (!existsSync(path)) t.fail(`${about}: there is no test/${file}.test.ts`)
      else if (claim !== undefined) t.ok(readFileSync(path, 'utf8').includes(claim), `${about}: ${file} "${claim}"`)
    }
    for (const [, list] of tests!.matchAll(/chaos rows? ([\d, to]+)/g)) {
      for (const row of list!.match(/\d+/g)!) t.match(chaos, new RegExp(`\\brow: ${row},`), `${about}: chaos row ${row}`)
    }
  }
})
