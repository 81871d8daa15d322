/** Who asks is found without counting: a key by name or by what is presented, a token by its authorization server. */
import t from 'tap'
import { hashKey } from '../../src/core/api-key.ts'
import { why, type WhyContext } from '../../src/operate/why.ts'
import { buildRuntime } from '../../src/runtime.ts'
import { startIssuer } from '../auth/oauth2/issuer.ts'
import { addKey, build, modern, silent } from '../support/app.ts'

t.test('a key by its name or itself, a token by its issuer, and what nobody knows', async t => {
  const issuer = await startIssuer(t)
  const { app, store, config } = await build(t, { env: { OAUTH2_AUTH_SERVER: issuer.url } })
  const { offer, inspection, authenticators, rules, close } = await buildRuntime({ config, store, logger: silent, oauth2Policies: { metadata: { waitMs: 30_000 }, jwks: { waitMs: 30_000 } } })
  t.teardown(close)
  const context: WhyContext = { store, catalogue: offer.current, inspection, authenticators, rules, seesCounts: true, url: `${config.PUBLIC_URL}/mcp`, findRequest: async () => undefined }
  const { key, record } = await addKey(store, { name: 'ci', permissions: ['get_*'] })
  const plain = await addKey(store, { name: 'old', hash: hashKey('sk-a-plain-key-of-somebody') })
  t.match(await why({ key: 'ci', tool: 'get_time', args: {} }, context), { decision: 'served', principal: `key:${record.id}` })
  t.match(await why({ credential: key, tool: 'echo', address: '198.51.100.1' }, context), { decision: 'ACCESS_DENIED', rule: 'no pattern' })
  t.match(await why({ credential: 'sk-a-plain-key-of-somebody', tool: 'echo' }, context), { decision: 'served', principal: `key:${plain.record.id}` })
  t.match(await why({ credential: 'sk-nobody-has-this-value' }, context), { decision: 'INVALID_CREDENTIAL', layer: 'credential' })
  t.match(await why({ credential: `${key.slice(0, -3)}aaa` }, context), { decision: 'INVALID_CREDENTIAL' })

  const rows: Array<[string, object, string | undefined]> = [
    ['echo', { scope: 'mcp:server:access mcp:tool:*' }, undefined], ['echo', { scope: 'mcp:server:access mcp:tool:get_*' }, undefined],
    ['echo', { scope: 'openid' }, undefined], ['absent', { scope: 'mcp:server:access mcp:tool:*' }, undefined], ['echo', { exp: 1 }, undefined],
    ['echo', { aud: 'https://other.example' }, undefined], ['get_time', { sub: 'eve', scope: 'mcp:server:access mcp:tool:*' }, 'sub:eve']
  ]
  for (const [tool, claims, revoked] of rows) {
    if (revoked !== undefined) await store.revocations.set(revoked, { since: Date.now() + 60_000 })
    const token = issuer.mint({ ...claims })
    const explained = await why({ credential: token, tool, args: { text: 'a' }, address: '198.51.100.9' }, context)
    const answer = await modern(app, 'tools/call', { name: tool, arguments: { text: 'a' } }, { key: token, address: '198.51.100.9' })
    const { error, result } = answer.json()
    const reason = error === undefined ? 'served' : error.data.reason ?? 'UNKNOWN_TOOL'
    t.equal(explained.decision, tool === 'get_time' && result !== undefined ? 'served' : reason, JSON.stringify(claims))
    t.equal(explained.mend.length > 0, explained.decision !== 'served')
  }
  for (const wrong of [{}, { key: 'ci', credential: 'x' }, { key: 'nobody' }, { key: 'ci', address: 'here' }]) await t.rejects(why(wrong, context), { name: 'UsageError' })
})
