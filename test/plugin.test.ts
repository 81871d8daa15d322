import Fastify from 'fastify'
import t from 'tap'
import secureMcp from '../src/plugin.ts'
import { defineTool, Type } from '../src/tools/index.ts'
import { folder, messageOf, modern, legacy } from './support/app.ts'
import { join } from 'node:path'

const orders = defineTool({ name: 'get_order', description: 'Look up.', input: Type.Object({ number: Type.String() }), run: ({ number }, { caller }) => `${number} for ${caller.name}` })

t.test('thin whole', async t => {
  const app = Fastify()
  app.get('/', () => 'theirs')
  await app.register(secureMcp, {
    publicUrl: 'http://localhost:3000',
    apiKeysFile: join(folder(t), 'keys.json'),
    tools: [orders],
    principal: request => request.headers['x-user'] === undefined ? undefined : { id: String(request.headers['x-user']), permissions: ['get_*'] }
  })
  t.teardown(() => app.close())
  t.equal((await app.inject('/')).body, 'theirs')
  t.same((await app.inject('/nope')).json(), { message: 'Route GET:/nope not found', error: 'Not Found', statusCode: 404 })
  const no = await modern(app as never, 'tools/list')
  t.equal(no.statusCode, 401)
  const answer = await modern(app as never, 'tools/call', { name: 'get_order', arguments: { number: '7' } }, { headers: { 'x-user': 'ada' } })
  t.equal(messageOf(answer).result.content[0].text, '7 for ada')
  const old = await legacy(app as never, 'tools/list', {}, { headers: { 'x-user': 'ada' } })
  t.equal(messageOf(old).result.tools.length, 1)
  t.equal((await app.inject({ method: 'OPTIONS', url: '/mcp', headers: { host: 'localhost:3000', origin: 'http://localhost:3000' } })).statusCode, 204)
})
