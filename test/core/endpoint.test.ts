import t from 'tap'
import { endpointUrl } from '../../src/core/endpoint.ts'

const ISSUER = 'https://as.example/realm'
const LOCAL = 'http://localhost:4593'

t.test('an endpoint is used as the URL that it is', async t => {
  for (const url of [
    'https://as.example//api/oidc/auth', 'https://as.example/a?tenant=x&y=%2F', 'https://other.example:8443/token',
    'https://[2001:db8::1]/token', 'https://as.example/%2F%2Fevil.example', 'https://as.example/@evil.example'
  ]) t.equal(endpointUrl(url, ISSUER), url)
  for (const url of ['http://localhost:4593//api/oidc/auth', 'http://[::1]:9/t', 'http://127.0.0.2/t', 'https://as.example/t']) t.equal(endpointUrl(url, LOCAL), url)
  t.equal(endpointUrl('https://AS.example:443/a/../b', ISSUER), 'https://as.example/b', 'in normal form')
})

t.test('what could lead elsewhere is no endpoint', async t => {
  for (const value of [
    undefined, null, 7, '', {}, ['https://as.example/t'], '/token', '//api/oidc/auth', 'token', 'as.example/token', '?a=b',
    'https://user:secret@as.example/t', 'https://user@as.example/t', 'https://as.example/t#x', 'http://as.example/t', 'ftp://as.example/t',
    'javascript:alert(1)', 'data:,x', 'file:///etc/passwd', 'https://', 'https://[::1', 'http://localhost/t', `https://as.example/${'x'.repeat(2048)}`
  ]) t.equal(endpointUrl(value, ISSUER), undefined, JSON.stringify(value))
  for (const value of ['http://169.254.169.254/latest', 'http://localhost.evil.example/t', 'http://127.0.0.1.evil.example/t', 'http://user@localhost/t']) {
    t.equal(endpointUrl(value, LOCAL), undefined, value)
  }
})
