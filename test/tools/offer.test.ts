import t from 'tap'
import { buildCatalogue } from '../../src/tools/catalogue.ts'
import { definePrompt, defineResource, defineTool, Type, type Definition } from '../../src/tools/index.ts'
import { CurrentOffer } from '../../src/tools/offer.ts'

const tool = (name: string, description = name) => defineTool({ name, description, input: Type.Object({}), run: () => name })
const of = (...definitions: Definition[]) => buildCatalogue(definitions.map(definition => ({ from: 'test', definition })), new Set())

t.test('a new catalogue is current at once, and says which lists differ', async t => {
  const prompt = definePrompt({ name: 'greet', get: () => 'hello' })
  const note = defineResource({ uri: 'note://a', name: 'a', read: () => 'a' })
  const template = defineResource({ uri: 'note://{id}/b', name: 'b', read: () => 'b' })
  const first = of(tool('a'), prompt)
  const offer = new CurrentOffer(first)
  const heard: string[][] = []
  const stop = offer.onChange((lists, before) => {
    heard.push([...lists])
    t.not(before, offer.current)
  })
  const changes: Array<[string[], Definition[]]> = [
    [['tools'], [tool('a'), tool('b'), prompt]],
    [['tools'], [tool('a'), tool('b', 'says something else'), prompt]],
    [['tools', 'prompts'], [tool('a')]],
    [['resources'], [tool('a'), note]],
    [['resources'], [tool('a'), note, template]]
  ]
  for (const [lists, definitions] of changes) {
    const { revision } = offer
    offer.replace(of(...definitions))
    t.same(heard.at(-1), lists)
    t.equal(offer.revision, revision + 1)
  }
  stop()
  offer.replace(first)
  t.equal(heard.length, changes.length, 'nothing is heard after the end')
  t.equal(offer.current, first)
})

t.test('a catalogue that lists the same is taken and tells nothing', async t => {
  const offer = new CurrentOffer(of(tool('a')))
  offer.onChange(() => t.fail('nothing changed'))
  const next = of(tool('a'))
  offer.replace(next)
  t.equal(offer.current, next)
  t.equal(offer.revision, 1)
})
