import t from 'tap'
import type { Principal } from '../../../src/core/principal.ts'
import { ListTexts } from '../../../src/mcp/fast/list-texts.ts'
import { buildCatalogue } from '../../../src/tools/catalogue.ts'
import { defineTool, Type } from '../../../src/tools/index.ts'
import { CurrentOffer } from '../../../src/tools/offer.ts'

const of = (...names: string[]) => buildCatalogue(names.map(name =>
  ({ from: 'test', definition: defineTool({ name, description: 'x'.repeat(100), input: Type.Object({}), run: () => name }) })), new Set())
const who = (...permissions: string[]): Principal => ({ id: 'key:a', name: 'a', authType: 'api_key', role: 'caller', permissions, authenticatedAt: 0, revocableAs: [] })
const namesIn = (text: string | undefined) => (JSON.parse(`{${text}}`) as { tools: Array<{ name: string }> }).tools.map(({ name }) => name)

t.test('a list is written for each set of permissions, and anew for another catalogue', async t => {
  const offer = new CurrentOffer(of('a', 'b'))
  const lists = new ListTexts(offer)
  t.same(namesIn(lists.textOf('tools/list', who('*'))), ['a', 'b'])
  t.same(namesIn(lists.textOf('tools/list', who('b'))), ['b'])
  t.same(namesIn(lists.textOf('tools/list', { ...who('*'), role: 'operator' })), [])
  const held = lists.bytes
  t.same(namesIn(lists.textOf('tools/list', who('*'))), ['a', 'b'], 'the same words in another array')
  t.equal(lists.bytes, held)
  t.equal(lists.textOf('tools/call', who('*')), undefined)

  offer.replace(of('b', 'c'))
  t.same(namesIn(lists.textOf('tools/list', who('*'))), ['b', 'c'])
  t.same(namesIn(lists.textOf('tools/list', who('b'))), ['b'])
})

t.test('the text of all permissions together stays within its bound', async t => {
  const lists = new ListTexts(new CurrentOffer(of('a', 'b', 'c', 'd')), 10_000)
  for (let i = 0; i < 1000; i++) {
    t.same(namesIn(lists.textOf('tools/list', who('*', `!x${i}`))), ['a', 'b', 'c', 'd'])
    if (lists.bytes > 10_000) t.fail(`${lists.bytes} bytes`)
  }
  t.ok(lists.bytes > 5_000, 'and is used')
  const small = new ListTexts(new CurrentOffer(of('a')), 10)
  t.same(namesIn(small.textOf('tools/list', who('*'))), ['a'], 'what does not fit is not held')
  t.equal(small.bytes, 0)
})
