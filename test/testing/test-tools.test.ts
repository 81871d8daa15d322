/** testTools under tap, from the sources, and what it refuses. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { testTools } from '../../src/testing/index.ts'
import * as authoring from '../../src/tools/index.ts'
import { folder } from '../support/app.ts'
import { cases } from './cases.ts'

for (const [name, run] of cases({ testTools, ...authoring })) t.test(name, run)

t.test('a folder is loaded as the server loads it', async t => {
  const dir = folder(t)
  writeFileSync(join(dir, 'echo.mjs'), `
    import { defineTool, Type } from '${join(import.meta.dirname, '../../src/tools/index.ts')}'
    export default defineTool({ name: 'say', description: 'Says it.', input: Type.Object({ text: Type.String() }), run: ({ text }) => text })`)
  const client = await testTools(dir)
  t.teardown(() => client.close())
  t.strictSame((await client.tools()).map(({ name }) => name), ['say'], 'and nothing beside it')
  t.equal((await client.call('say', { text: 'hi' })).text, 'hi')
  writeFileSync(join(dir, 'broken.mjs'), 'export default 7')
  await t.rejects(testTools(dir), { message: /broken\.mjs: the default export must be/ })
})

t.test('what cannot be tested is refused at once', async t => {
  const { defineTool, Type } = authoring
  await t.rejects(testTools([defineTool({ name: 'a b', description: 'd', input: Type.Object({}), run: () => '' })]), { message: /^testTools: a tool's name must be/ })
  await t.rejects(testTools([], { revision: '2024-01-01' }), { message: /^revision must be one of 2026-07-28, / })
  await t.rejects(testTools([], { settings: { rateLimitApiKee: 3 } as never }), { message: /is rateLimitApiKey meant\?/ })
  await t.rejects(testTools('/no/such/folder'), { message: /there is no folder/ })
})

t.test('calls at once keep what they were told apart', async t => {
  const { defineTool, Type } = authoring
  const client = await testTools([defineTool({
    name: 'count',
    description: 'd',
    input: Type.Object({ to: Type.Number() }),
    run: async ({ to }, { progress }) => {
      for (let i = 1; i <= to; i++) {
        progress(i)
        await new Promise(resolve => setImmediate(resolve))
      }
      return to
    }
  })])
  t.teardown(() => client.close())
  const results = await Promise.all([1, 2, 3].map(to => client.call('count', { to })))
  t.strictSame(results.map(({ text, progress }) => [text, progress.length]), [['1', 1], ['2', 2], ['3', 3]])
  await client.close()
  await t.rejects(client.call('count', { to: 1 }), { message: /the client was closed/ })
})
