/** Behind proxies that do what proxies do, the doctor names each of them. */
import { createServer, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { examine } from '../../src/doctor/check.ts'
import { CHECKS } from '../../src/doctor/checks/index.ts'
import { lookFromOutside } from '../../src/doctor/outside.ts'
import { startIssuer } from '../auth/oauth2/issuer.ts'
import { addKey, build } from '../support/app.ts'

interface Bent {
  /** Headers on their way in. */
  headers?: (headers: IncomingHttpHeaders, request: IncomingMessage) => IncomingHttpHeaders
  /** Headers and status on their way out. */
  answer?: (status: number, headers: IncomingHttpHeaders) => [number, IncomingHttpHeaders]
  /** Answers itself. @returns whether it did */
  own?: (request: IncomingMessage, response: ServerResponse) => boolean
  path?: (path: string) => string
  /** Ends answers that are quiet for so long, ms. */
  cutsAfterMs?: number
  /** Holds answers back until they end. */
  buffers?: boolean
}

async function proxied (t: Test, bent: Bent) {
  const issuer = await startIssuer(t)
  let port = 0
  const proxy = createServer((request, response) => {
    if (bent.own?.(request, response) === true) return
    const headers = bent.headers?.(request.headers, request) ?? request.headers
    const onward = httpRequest({ port, host: '127.0.0.1', method: request.method, path: bent.path?.(request.url!) ?? request.url, headers }, answer => {
      const [status, out] = bent.answer?.(answer.statusCode!, answer.headers) ?? [answer.statusCode!, answer.headers]
      const parts: Buffer[] = []
      if (bent.buffers !== true) {
        response.writeHead(status, out)
        answer.pipe(response)
        if (bent.cutsAfterMs !== undefined) response.setTimeout(bent.cutsAfterMs, () => response.destroy())
        return
      }
      answer.on('data', part => parts.push(part)).on('end', () => response.writeHead(status, out).end(Buffer.concat(parts)))
    })
    onward.on('error', () => response.destroy())
    response.on('close', () => onward.destroy())
    request.pipe(onward)
  })
  await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve))
  t.teardown(() => { proxy.closeAllConnections(); proxy.close() })
  const url = `http://localhost:${(proxy.address() as AddressInfo).port}`
  const { app, store } = await build(t, { env: { PUBLIC_URL: url, OAUTH2_AUTH_SERVER: issuer.url, MAX_REQUEST_BYTES: '2000000' } })
  await app.listen({ host: '127.0.0.1', port: 0 })
  port = (app.server.address() as AddressInfo).port
  const { key } = await addKey(store)
  return { url: `${url}/mcp`, key }
}

const without = (...names: string[]) => (headers: IncomingHttpHeaders) => Object.fromEntries(Object.entries(headers).filter(([name]) => !names.includes(name)))
const page = (status: number) => (_request: IncomingMessage, response: ServerResponse) => { response.writeHead(status, { 'content-type': 'text/html', server: 'proxy' }).end('<html>no</html>'); return true }

const SETUPS: Array<[string, Bent, string[]]> = [
  ['nothing is wrong', {}, []],
  ['it rewrites Host', { headers: headers => ({ ...headers, host: 'backend.internal' }) }, ['host', 'challenge']],
  ['it drops Authorization', { headers: without('authorization') }, ['unknown-key', 'key', 'protocol-headers', 'long-header', 'buffering']],
  ['it drops X-API-Key', { headers: without('x-api-key') }, ['api-key-header']],
  ['it drops Mcp- headers', { headers: headers => Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith('mcp-'))) }, ['key', 'buffering']],
  ['it writes Mcp-Method anew', { headers: headers => headers['mcp-method'] === undefined ? headers : ({ ...headers, 'mcp-method': 'tools/list' }) }, ['protocol-headers']],
  ['it renames WWW-Authenticate', { answer: (status, { 'www-authenticate': challenge, ...headers }) => [status, challenge === undefined ? headers : { ...headers, 'x-amzn-remapped-www-authenticate': challenge }] }, ['challenge']],
  ['it turns 401 into a login page', { answer: (status, headers) => [status === 401 ? 302 : status, headers] }, ['challenge', 'unknown-key']],
  ['it drops Origin', { headers: without('origin') }, ['other-origin']],
  ['it answers preflights for everyone', { own: (request, response) => { if (request.method !== 'OPTIONS') return false; response.writeHead(204, { 'access-control-allow-origin': '*' }).end(); return true } }, ['cors']],
  ['it takes bodies of 100 kB only', { own: (request, response) => Number(request.headers['content-length'] ?? 0) > 100_000 && page(413)(request, response) }, ['long-body']],
  ['it takes headers of 4 kB only', { own: (request, response) => (request.headers.authorization ?? '').length > 4096 && page(400)(request, response) }, ['long-header']],
  ['it has error pages of its own', { own: (request, response) => request.url === '/mcp/nothing-here' && page(404)(request, response) }, ['own-errors']],
  ['it inspects arguments', { own: (request, response) => request.headers['mcp-name'] === 'doctor' && page(403)(request, response) }, ['firewall']],
  ['it asks for a login at the metadata', { own: (request, response) => request.url!.startsWith('/.well-known') && page(401)(request, response) }, ['metadata', 'metadata-of-endpoint']],
  ['it routes one metadata path only', { own: (request, response) => request.url === '/.well-known/oauth-protected-resource/mcp' && page(404)(request, response) }, ['metadata-of-endpoint']],
  ['it shows metrics', { own: (request, response) => { if (request.url !== '/metrics') return false; response.end('# TYPE mcp_state gauge'); return true } }, ['metrics-hidden']],
  ['it shows the management API', { own: (request, response) => { if (request.url !== '/api/status') return false; response.writeHead(401, { 'content-type': 'application/problem+json' }).end('{}'); return true } }, ['management-hidden']],
  ['it compresses streams', { answer: (status, headers) => [status, headers['content-type']?.includes('event-stream') === true ? { ...headers, 'content-encoding': 'gzip' } : headers] }, ['buffering']],
  ['it routes nothing to /mcp', { own: page(502) }, ['challenge', 'unknown-key', 'other-origin', 'metadata', 'own-errors', 'firewall', 'key']]
]

t.test('each kind of proxy is named by its check, and a plain one by none', async t => {
  for (const [what, bent, expected] of SETUPS) {
    await t.test(what, async t => {
      const { url, key } = await proxied(t, bent)
      const results = examine(CHECKS, { outside: await lookFromOutside(url, key, Date.now()) })
      const wrong = results.filter(({ severity }) => severity !== 'ok')
      if (expected.length === 0) t.same(wrong, [])
      else t.ok(wrong.some(({ id }) => id === expected[0]), `${expected[0]} among ${wrong.map(({ id }) => id).join(', ')}`)
      const others = wrong.map(({ id }) => id).filter(id => !expected.includes(id))
      if (what !== 'it routes nothing to /mcp' && what !== 'it rewrites Host') t.same(others, [], 'and nothing else is blamed')
    })
  }
  t.comment(`figure: ${SETUPS.length - 1} broken set-ups`)
})

t.test('a name that leads nowhere is told as that', async t => {
  const results = examine(CHECKS, { outside: await lookFromOutside('http://127.0.0.1:9/mcp', undefined, Date.now()) })
  t.match(results, [{ id: 'reachable', severity: 'bad', remedy: /DNS/ }])
})

t.test('a proxy that holds streams back until they end', async t => {
  const { url, key } = await proxied(t, { buffers: true })
  const results = examine(CHECKS, { outside: await lookFromOutside(url, key, Date.now(), { streamMs: 1000 }) })
  t.match(results.filter(({ severity }) => severity !== 'ok'), [{ id: 'stream-held', remedy: /proxy_buffering off/ }])
})

t.test('a proxy that cuts quiet streams, and one that leaves them alone', async t => {
  for (const cutsAfterMs of [500, undefined]) {
    const { url, key } = await proxied(t, cutsAfterMs === undefined ? {} : { cutsAfterMs })
    const results = examine(CHECKS, { outside: await lookFromOutside(url, key, Date.now(), { idleMs: 4000 }) })
    t.match(results.filter(({ id }) => id === 'idle-streams'), [cutsAfterMs === undefined ? { severity: 'ok' } : { severity: 'bad', remedy: /proxy_read_timeout/ }])
  }
})
