import t from 'tap'
import { WireOpener } from '../../src/upstreams/wire-opener.ts'
import { addKey, build, META, messageOf, modern, MODERN, silent } from '../support/app.ts'
import { freePort } from '../support/redis.ts'
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

for (const era of ['legacy', 'modern'] as const) {
  t.test(`changes of a resource of a server of the ${era} era reach whoever subscribed, who is asked for once`, async t => {
    const uri = 'demo://one'
    const listening = new Set<Hands>()
    const upstream = await startHttpUpstream(t, {
      era,
      streams: true,
      speaks: true,
      resources: [{ uri, name: 'one' }],
      answers: {
        'resources/subscribe': () => ({}),
        'resources/unsubscribe': () => ({}),
        'subscriptions/listen': async hands => {
          listening.add(hands)
          return await new Promise<Members>(() => {})
        }
      }
    })
    const target = { kind: 'http' as const, url: new URL(upstream.url), headers: new Map(), forwardHeaders: [], auth: undefined, network: 'loopback' as const }
    const opener = new WireOpener({ ambient: {}, resolve: template => template, log: silent, gateway: 'here' })
    const port = await freePort()
    const url = `http://127.0.0.1:${port}`
    const { app, store } = await build(t, { env: { PUBLIC_URL: url }, upstreams: { entries: [entryOf('s', { target, protocol: 'auto' })], open: opener.open } })
    await app.listen({ host: '127.0.0.1', port })
    const { key } = await addKey(store)
    const subscribe = async () => {
      const leaving = new AbortController()
      const response = await fetch(`${url}/mcp`, {
        method: 'POST',
        signal: leaving.signal,
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', accept: 'application/json, text/event-stream', 'mcp-protocol-version': MODERN, 'mcp-method': 'subscriptions/listen' },
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'subscriptions/listen', params: { notifications: { resourceSubscriptions: [uri] }, _meta: META } })
      })
      const heard = { text: '', leave: () => leaving.abort() }
      const read = async () => { for await (const part of response.body!.pipeThrough(new TextDecoderStream())) heard.text += part }
      read().catch(() => {}) // it leaves
      return heard
    }
    const counted = (method: string) => upstream.server.received.filter(one => one.method === method).length
    const isWatched = () => era === 'legacy'
      ? counted('resources/subscribe') === 1 && upstream.own.size === 1
      : [...listening].some(({ params }) => JSON.stringify(params.notifications).includes(uri))
    const one = await subscribe()
    const two = await subscribe()
    await until(isWatched)
    const updated = { jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri } }
    if (era === 'legacy') for (const stream of upstream.own) stream.write(`data: ${JSON.stringify(updated)}\n\n`)
    else [...listening].at(-1)!.send(updated)
    for (const heard of [one, two]) await until(() => heard.text.includes('notifications/resources/updated'))
    t.equal(one.text.split('resources/updated').length, 2, 'told once')
    one.leave()
    two.leave()
    if (era === 'legacy') await until(() => counted('resources/unsubscribe') === 1)
    else await until(() => !JSON.stringify([...listening].at(-1)!.params.notifications).includes(uri))
  })
}
