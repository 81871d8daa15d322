/** A list of values is a list of names: what may not be used is not in it. */
import t from 'tap'
import { definePrompt, defineResource } from '../../../src/tools/index.ts'
import { addKey, build, legacy, messageOf, modern } from '../../support/app.ts'

const NAMES = ['secret', 'secret-plan', 'se cret', 'second', 'open', '%73ecret', 'sec\ud800', 'secret/../open']
let heard: unknown
const tools = [
  defineResource({ uri: 'doc://{name}', name: 'docs', complete: { name: (typed, _others, { caller }) => { heard = caller.authType; return NAMES.filter(name => name.startsWith(typed)) } }, read: () => 'a' }),
  defineResource({ uri: 'org://{team}/{doc}', name: 'org', complete: { team: () => ['red', 'blue', 'green'], doc: () => ['plan', 'secret'] }, read: () => 'a' }),
  definePrompt({ name: 'greet', arguments: [{ name: 'who', complete: () => ['ada', 'secret'] }], get: () => 'hello' })
]

t.test('values whose URI may not be used are left out, in both eras, and the author is told who asks', async t => {
  const { app, store } = await build(t, { tools })
  const { key } = await addKey(store, { permissions: ['*', '!resource:doc://sec*', '!resource:org://red/*', '!resource:org://blue/secret'] })
  for (const send of [modern, legacy]) {
    const complete = async (uri: string, name: string, value = '', others?: object, as = key) => {
      const { result } = messageOf(await send(app, 'completion/complete', { ref: { type: 'ref/resource', uri }, argument: { name, value }, ...(others === undefined ? {} : { context: { arguments: others } }) }, { key: as }))
      t.equal(result.completion.total, result.completion.values.length, 'nor is it counted')
      return result.completion.values
    }
    t.same(await complete('doc://{name}', 'name', 'sec'), [])
    t.same(await complete('doc://{name}', 'name'), ['se cret', 'open', '%73ecret'])
    t.equal(heard, 'api_key')
    t.same(await complete('org://{team}/{doc}', 'team'), ['blue', 'green'], 'a beginning that leads to nothing usable')
    t.same(await complete('org://{team}/{doc}', 'doc', '', { team: 'blue' }), ['plan'])
    t.same(await complete('org://{team}/{doc}', 'doc', '', { team: 'red' }), [])
    t.same(await complete('org://{team}/{doc}', 'doc', '', { team: 'green' }), ['plan', 'secret'])
    t.same(await complete('org://{team}/{doc}', 'doc'), ['plan', 'secret'], 'of a team that is not known yet')
    const few = await addKey(store, { permissions: ['resource:doc://{name}', 'resource:doc://o*'] })
    t.same(await complete('doc://{name}', 'name', '', undefined, few.key), ['open'])
    const { result } = messageOf(await send(app, 'completion/complete', { ref: { type: 'ref/prompt', name: 'greet' }, argument: { name: 'who', value: '' } }, { key }))
    t.same(result.completion.values, ['ada', 'secret'], 'values of a prompt name nothing')
  }
})

t.test('what is listed by completion may be read, and nothing else', async t => {
  const { app, store } = await build(t, { tools })
  for (const permissions of [['*'], ['*', '!resource:doc://sec*'], ['resource:doc://{name}', 'resource:doc://se*'], ['resource:*', '!resource:doc://open']]) {
    const { key } = await addKey(store, { permissions })
    const { result } = messageOf(await modern(app, 'completion/complete', { ref: { type: 'ref/resource', uri: 'doc://{name}' }, argument: { name: 'name', value: '' } }, { key }))
    const readable = []
    for (const name of NAMES.filter(name => !name.includes('\ud800'))) {
      const read = messageOf(await modern(app, 'resources/read', { uri: `doc://${encodeURIComponent(name)}` }, { key }))
      if (read.error?.data.reason !== 'FORBIDDEN') readable.push(name)
    }
    t.same(result.completion.values, readable, permissions.join(' '))
  }
})
