import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { pages } from '../scripts/reference.mjs'

t.test('the pages of settings and refusals say what the code says', async t => {
  for (const [path, text] of Object.entries(await pages())) {
    t.equal(readFileSync(join(import.meta.dirname, '..', path), 'utf8'), text, `${path}: run node scripts/reference.mjs`)
  }
})
