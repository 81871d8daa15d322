import t from 'tap'
import { WireOpener } from '../../src/upstreams/wire-opener.ts'
import { addKey, build, messageOf, modern, silent } from '../support/app.ts'
import { entryOf } from '../support/entries.ts'
import { text, tool, type Hands, type Members, type ScriptedTool } from '../support/scripted-upstream.ts'
import { until } from '../support/until.ts'
import { startHttpUpstream, type HttpUpstreamOptions } from '../support/upstream-http.ts'

const CHANGED = { jsonrpc: '2.0', method: 'notifications/tools/list_changed' }

for (const era of ['legacy', 'modern'] as const) {
  t.test(`a server over HTTP of the ${era} era says that its list changed, also after its stream broke`, async t => {
    const tools: ScriptedTool[] = [tool('one', () => text('1'))]
    const listening = new Set<Hands>()
    const script: HttpUpstreamOptions = {
      era,
      tools,
      streams: true,
      speaks: true,
      answers: {
        'subscriptions/listen': async hands => {
          listening.add(hands)
          return await new Promise<Members>(() => {})
        }
      }
    }
    const upstream = await startHttpUpstream(t, script)
    const target = { kind: 'http' as const, url: new URL(upstream.url), headers: new Map(), forwardHeaders: [], auth: undefined, network: 'loopback' as const }
    const opener = new WireOpener({ ambient: {}, resolve: template => template, log: silent, gateway: 'here' })
    const { app, store } = await build(t, { upstreams: { entries: [entryOf('s', { target, protocol: 'auto' })], open: opener.open } })
    await app.ready()
    const { key } = await addKey(store)
    const names = async () => messageOf(await modern(app, 'tools/list', {}, { key })).result.tools.map(({ name }: { name: string }) => name) as string[]
    const say = () => {
      if (era === 'legacy') for (const stream of upstream.own) stream.write(`data: ${JSON.stringify(CHANGED)}\n\n`)
      else for (const hands of listening) hands.send(CHANGED)
    }
    const speaks = () => (era === 'legacy' ? upstream.own : listening).size === 1
    t.ok((await names()).includes('s_one'))
    for (const name of ['two', 'three']) {
      await until(speaks)
      tools.push(tool(name, () => text(name)))
      say()
      await until(async () => (await names()).includes(`s_${name}`))
      for (const stream of upstream.own) stream.destroy()
      if (era === 'legacy') await until(() => upstream.own.size === 0)
    }
  })
}
