import t from 'tap'
import { defaultHosts, hostCheck, normalHost, normalOrigin, originCheck } from '../../src/core/origin.ts'

t.test('a host has one form: no default port, no dot at its end, lower case', async t => {
  const cases: Array<[host: string, protocol: string, normal: string | undefined]> = [
    ['mcp.example.com:443', 'https:', 'mcp.example.com'], ['mcp.example.com', 'https:', 'mcp.example.com'], ['MCP.Example.com.', 'https:', 'mcp.example.com'],
    ['mcp.example.com.:443', 'https:', 'mcp.example.com'], ['mcp.example.com:', 'https:', 'mcp.example.com'], ['mcp.example.com:80', 'https:', 'mcp.example.com:80'],
    ['localhost:80', 'http:', 'localhost'], ['localhost.:3000', 'http:', 'localhost:3000'], ['[::1]:80', 'http:', '[::1]'], ['[::1]:3000', 'http:', '[::1]:3000'],
    ['localhost:443', 'http:', 'localhost:443'], ['localhost:03000', 'http:', 'localhost:03000'],
    ['', 'http:', undefined], ['.', 'http:', undefined], ['user@localhost', 'http:', undefined], ['localhost:3000/x', 'http:', undefined], ['localhost:3000:80', 'http:', undefined],
    ['localhost, evil.example', 'http:', undefined], ['[::1', 'http:', undefined], ['localhost:80a', 'http:', undefined]
  ]
  for (const [host, protocol, normal] of cases) t.equal(normalHost(host, protocol), normal, `${host} under ${protocol}`)
})

t.test('the Host check takes every way to write the same host, and no other host', async t => {
  const check = hostCheck(['mcp.example.com', 'Other.example:8443'], 'https:')
  for (const host of ['mcp.example.com', 'mcp.example.com:443', 'mcp.example.com.', 'MCP.EXAMPLE.COM.:443', 'other.example:8443', 'other.example.:8443']) t.ok(check(host), host)
  for (const host of [undefined, '', 'mcp.example.com:80', 'mcp.example.com:8443', 'other.example', 'xmcp.example.com', 'mcp.example.com.evil.example', 'mcp.example.com..', '@mcp.example.com']) t.notOk(check(host), String(host))
  const local = hostCheck(defaultHosts('http://localhost:3000'), 'http:')
  for (const host of ['localhost:3000', 'localhost.:3000', '127.0.0.1:3000', '[::1]:3000']) t.ok(local(host), host)
  for (const host of ['localhost', 'localhost:80', '127.0.0.2:3000', '::1:3000']) t.notOk(local(host), host)
})

t.test('an Origin is compared in its one form, and its scheme counts', async t => {
  t.equal(normalOrigin('HTTPS://App.example.com.:443'), 'https://app.example.com')
  const check = originCheck(['https://app.example.com', 'vscode-webview://abc', 'http://localhost:3000'])
  for (const origin of [undefined, 'https://app.example.com', 'https://app.example.com:443', 'https://app.example.com.', 'vscode-webview://abc', 'http://localhost.:3000']) t.ok(check(origin), String(origin))
  for (const origin of ['http://app.example.com', 'null', '', 'https://app.example.com:80', 'https://app.example.com/x', 'https://evil.example', 'app.example.com', 'https://app.example.com https://evil.example']) t.notOk(check(origin), origin)
  t.ok(originCheck(['null'])('null'), 'who lists it means it')
})
