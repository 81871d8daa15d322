// A loopback reverse proxy that adds a credential and may turn between several upstreams: for suites that can send none.
import { createServer, request as forward } from 'node:http'
import type { AddressInfo } from 'node:net'

/** @param upstreams origins such as http://127.0.0.1:3000 */
export async function keyProxy ({ upstreams, key }: { upstreams: string[], key?: string }): Promise<{ url: string, close: () => Promise<void> }> {
  let turn = 0
  const server = createServer((incoming, outgoing) => {
    const { hostname, port } = new URL(upstreams[turn++ % upstreams.length]!)
    const { host, ...headers } = incoming.headers
    // Only our own name is replaced: a foreign Host or Origin must reach the server as it is.
    const ours = /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(host ?? '')
    if (/^http:\/\/(localhost|127\.0\.0\.1):/.test(headers.origin ?? '')) headers.origin = `http://${hostname}:${port}`
    const upstream = forward({
      hostname,
      port,
      method: incoming.method,
      path: incoming.url,
      headers: { ...headers, host: ours ? `${hostname}:${port}` : host, ...(key === undefined ? {} : { authorization: `Bearer ${key}` }) }
    }, answer => {
      outgoing.writeHead(answer.statusCode!, answer.headers)
      answer.on('data', chunk => outgoing.write(chunk))
      answer.on('end', () => outgoing.end())
      answer.on('error', () => outgoing.destroy())
    })
    upstream.on('error', () => outgoing.destroy())
    outgoing.on('close', () => upstream.destroy())
    incoming.pipe(upstream)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => new Promise(resolve => { server.close(() => resolve()); server.closeAllConnections() })
  }
}
