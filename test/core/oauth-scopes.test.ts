import t from 'tap'
import { loginScopes, readScopeMap, stepUpScopes, type GrantableScopes } from '../../src/core/oauth-scopes.ts'

const ACCESS = 'mcp:server:access'
const offer = (more: Partial<GrantableScopes> = {}): GrantableScopes => ({ login: [ACCESS, 'mcp:tool:*'], map: new Map(), ...more })
const ENTRA = readScopeMap('Mcp.Use=mcp:server:access mcp:tool:*')!

t.test('a first login asks for what makes lists non-empty, in names that can be granted', async t => {
  const cases: Array<[string, Partial<GrantableScopes>, string[]]> = [
    ['nothing is published', {}, [ACCESS, 'mcp:tool:*']],
    ['only OpenID scopes are published', { published: ['openid', 'email'] }, [ACCESS, 'mcp:tool:*']],
    ['the pattern is published', { published: [ACCESS, 'mcp:tool:*', 'mcp:tool:echo'] }, [ACCESS, 'mcp:tool:*']],
    ['exact names are published, the pattern is not', { published: ['openid', ACCESS, 'mcp:tool:echo', 'mcp:tool:get_*'] }, [ACCESS, 'mcp:tool:echo', 'mcp:tool:get_*']],
    ['a narrower configuration', { login: [ACCESS, 'mcp:tool:get_*'], published: [ACCESS, 'mcp:tool:echo', 'mcp:tool:get_time'] }, [ACCESS, 'mcp:tool:get_time']],
    ['more names than a challenge should hold', { published: [ACCESS, ...Array.from({ length: 33 }, (_, i) => `mcp:tool:t${i}`)] }, [ACCESS, 'mcp:tool:*']],
    ['names of the authorization server', { map: ENTRA, published: ['openid', 'Mcp.Use'] }, ['Mcp.Use']],
    ['nothing is covered', { published: ['mcp:tool:echo'], login: [ACCESS] }, [ACCESS]],
    ['roles decide, so only OpenID is asked for', { login: ['openid'], map: ENTRA }, ['openid']]
  ]
  for (const [name, more, expected] of cases) t.strictSame(loginScopes(offer(more)), expected, name)
})

t.test('a step-up asks for a scope that the authorization server can grant', async t => {
  const wanted = [ACCESS, 'mcp:tool:echo']
  const cases: Array<[string, Partial<GrantableScopes>, string[], string[]]> = [
    ['nothing is published', {}, [ACCESS], [ACCESS, 'mcp:tool:*']],
    ['only OpenID scopes are published', { published: ['openid'] }, [ACCESS], [ACCESS, 'mcp:tool:*']],
    ['the exact name is published', { published: [ACCESS, 'mcp:tool:*', 'mcp:tool:echo'] }, [ACCESS], [ACCESS, 'mcp:tool:echo']],
    ['the narrowest published pattern', { published: [ACCESS, 'mcp:tool:*', 'mcp:tool:e*'] }, [ACCESS], [ACCESS, 'mcp:tool:e*']],
    ['only the pattern is published', { published: [ACCESS, 'mcp:tool:*'] }, [ACCESS, 'mcp:tool:get_*'], [ACCESS, 'mcp:tool:get_*', 'mcp:tool:*']],
    ['a configured scope covers it', { login: [ACCESS, 'mcp:tool:e*'] }, [ACCESS], [ACCESS, 'mcp:tool:e*']],
    ['no configured scope covers it', { login: [ACCESS, 'mcp:tool:get_*'] }, [ACCESS], [ACCESS, 'mcp:tool:*']],
    ['nothing that is published covers it', { login: [ACCESS, 'mcp:tool:get_*'], published: [ACCESS, 'mcp:tool:get_*'] }, [ACCESS], [ACCESS, 'mcp:tool:echo']],
    ['names of the authorization server', { map: ENTRA }, [ACCESS, 'mcp:tool:get_*'], ['Mcp.Use']],
    ['roles decide', { login: ['openid'], map: ENTRA }, [], ['openid']]
  ]
  for (const [name, more, held, expected] of cases) t.strictSame(stepUpScopes(held, wanted, offer(more)), expected, name)

  for (const uri of ['file:///a b', 'note://"', `note://${'x'.repeat(300)}`]) {
    t.strictSame(stepUpScopes([ACCESS], [`mcp:tool:resource:${uri}`], offer()), [ACCESS, 'mcp:tool:*'], uri.slice(0, 20))
  }
  t.strictSame(stepUpScopes([], ['mcp:tool:resource:note://a'], offer({ published: ['mcp:tool:res*', 'mcp:tool:resource:note:*'] })), ['mcp:tool:resource:note:*'], 'a prefix of tools covers no resource')
})
