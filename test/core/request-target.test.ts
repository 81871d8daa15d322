import t from 'tap'
import { authorityOf, decodedPath, pathPrefix, resemblesEndpoint, routedTarget, UNDECODABLE } from '../../src/core/request-target.ts'

t.test('every form of a request target leads to the path that routes are found by', async t => {
  const cases: Array<[target: string, prefix: string, routed: string]> = [
    ['/mcp', '', '/mcp'], ['/mcp', '/gw', '/mcp'], ['/gw/mcp', '/gw', '/mcp'], ['/gw/mcp?x=1', '/gw', '/mcp?x=1'], ['/gw', '/gw', '/'],
    ['/gw?x', '/gw', '/?x'], ['/gw/', '/gw', '/'], ['/gwx/mcp', '/gw', '/gwx/mcp'], ['/gw/gw/mcp', '/gw', '/gw/mcp'], ['/gw/mcp', '', '/gw/mcp'],
    ['//mcp', '', '//mcp'], ['/mcp/', '', '/mcp/'], ['/a/b/oauth/login?scope=x', '/a/b', '/oauth/login?scope=x'],
    ['http://example.com/mcp', '', '/mcp'], ['HTTPS://example.com:8443/gw/livez?a', '/gw', '/livez?a'], ['http://example.com', '', '/'],
    ['http://example.com?x', '', '/?x'], ['http://example.com//mcp', '', '//mcp'], ['*', '', '/*'], ['mcp', '', '/mcp'], ['', '', '/'],
    ['/%6dcp', '', '/%6dcp'], ['/%zz', '', UNDECODABLE], ['/%', '', UNDECODABLE], ['/%c3%28', '', UNDECODABLE], ['/%e2%82', '', UNDECODABLE],
    ['/gw/%zz', '/gw', UNDECODABLE], ['/mcp?%zz', '', '/mcp?%zz'], ['/mcp#%zz', '', '/mcp#%zz'], ['http://example.com/%zz', '', UNDECODABLE]
  ]
  for (const [target, prefix, routed] of cases) t.equal(routedTarget(target, prefix), routed, `${target} under "${prefix}"`)
})

t.test('a public URL has a prefix or none', async t => {
  for (const [url, prefix] of [['https://x', ''], ['https://x/', ''], ['https://x/gw', '/gw'], ['https://x/gw/', '/gw'], ['https://x/a/b//', '/a/b']] as const) t.equal(pathPrefix(url), prefix, url)
})

t.test('an absolute target names its host, another none', async t => {
  for (const [target, host] of [['/mcp', undefined], ['http://a.example:80/mcp', 'a.example:80'], ['http://a.example', 'a.example'], ['http://u@a.example/', 'u@a.example'], ['*', undefined], ['http:///mcp', '']] as const) t.equal(authorityOf(target), host, target)
})

t.test('a path is decoded without its query', async t => {
  for (const [target, path] of [['/%6dcp?x', '/mcp'], ['/a%2Fb', '/a%2Fb'], ['/%zz?x', undefined], ['/x#%zz', '/x']] as const) t.equal(decodedPath(target), path, target)
})

t.test('paths that were meant to be the endpoint are known, others are not', async t => {
  for (const path of ['/mcp/', '//mcp', '/mcp//', '/MCP', '/mcp']) t.ok(resemblesEndpoint(path), path)
  for (const path of ['/', '/mcpx', '/x/mcp', '/mcp/x', '']) t.notOk(resemblesEndpoint(path), path)
})
