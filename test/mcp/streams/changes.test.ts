import t from 'tap'
import type { Principal } from '../../../src/core/principal.ts'
import { noticesOf, OfferChange } from '../../../src/mcp/streams/changes.ts'
import { buildCatalogue } from '../../../src/tools/catalogue.ts'
import { definePrompt, defineResource, defineTool, Type, type Definition } from '../../../src/tools/index.ts'
import { CurrentOffer } from '../../../src/tools/offer.ts'

const tool = (name: string) => defineTool({ name, description: name, input: Type.Object({}), run: () => name })
const of = (...definitions: Definition[]) => buildCatalogue(definitions.map(definition => ({ from: 'test', definition })), new Set())
const who = (...permissions: string[]): Principal => ({ id: 'key:a', name: 'a', authType: 'api_key', role: 'caller', permissions, authenticatedAt: 0, revocableAs: [] })

t.test('another catalogue is told to those whose lists it changes, and to nobody else', async t => {
  const offer = new CurrentOffer(of(tool('get_day'), definePrompt({ name: 'greet', get: () => 'hello' })))
  let change!: OfferChange
  offer.onChange((lists, before) => { change = new OfferChange(lists, before, offer.current) })
  offer.replace(of(tool('get_day'), tool('set_day'), defineResource({ uri: 'note://{id}', name: 'notes', read: () => 'a' })))

  const heard = (principal: Principal, lists: ReadonlyArray<'tools' | 'prompts' | 'resources'> = ['tools', 'prompts', 'resources']) =>
    noticesOf(change, { lists: new Set(lists), uris: new Set(['note://a']) }, principal).map(({ method }) => method.split('/')[1])
  t.same(heard(who('*')), ['tools', 'prompts', 'resources'])
  t.same(heard(who('get_*')), [], 'sees what it saw')
  t.same(heard(who('set_*')), ['tools'])
  t.same(heard(who('set_*', '!set_day')), [])
  t.same(heard(who('prompt:*')), ['prompts'])
  t.same(heard(who('resource:*')), ['resources'], 'templates, too')
  t.same(heard(who('*'), ['prompts']), ['prompts'], 'only what it asked for')
  t.same(heard({ ...who('*'), role: 'operator' }), [])
})
