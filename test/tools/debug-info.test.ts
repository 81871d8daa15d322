import t from 'tap'
import { addKey, build, messageOf, modern } from '../support/app.ts'

t.test('debug_info tells of the process where its own server has MCP_DEBUG, and nowhere else', async t => {
  // Both in one process, in either order of starting.
  const apps = [await build(t, { env: { MCP_DEBUG: 'true' } }), await build(t), await build(t, { env: { MCP_DEBUG: 'on' } })]
  const told: boolean[] = []
  for (const { app, store } of apps) {
    const { key } = await addKey(store)
    told.push('server' in messageOf(await modern(app, 'tools/call', { name: 'debug_info', arguments: {} }, { key })).result.structuredContent)
  }
  t.same(told, [true, false, true])
})
