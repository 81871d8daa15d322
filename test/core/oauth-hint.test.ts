import t from 'tap'
import { oauthHint } from '../../src/core/oauth-hint.ts'

t.test('clients that look for an authorization server here are told what to do', async t => {
  for (const url of [
    '/register', '/authorize?client_id=x', '/token', '/revoke', '/register/', '/.well-known/oauth-authorization-server', '/.well-known/oauth-authorization-server/mcp',
    '/.well-known/openid-configuration', '/mcp/.well-known/openid-configuration', '/.well-known/openid-configuration/mcp', '/.well-known/oauth-protected-resource/other'
  ]) {
    t.match(oauthHint(url, []), /OAuth is off.*API key/, url)
    t.match(oauthHint(url, ['https://as.example']), /trusts https:\/\/as\.example;/, url)
  }
  for (const url of ['/', '/nothing', '/mcp', '/registered', '/.well-known/security.txt', '/x/authorize', '/.well-known/oauth-authorization-servers', '/nothing?/register', '//register']) {
    t.equal(oauthHint(url, []), undefined, url)
  }
})
