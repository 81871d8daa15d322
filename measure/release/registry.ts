// A registry of npm on loopback that holds packages which are not published yet, and sends whoever asks for others on.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A package as `npm pack` left it. */
export interface Packed {
  readonly manifest: Readonly<Record<string, unknown>> & { readonly name: string, readonly version: string }
  /** Path of its tarball. */
  readonly tarball: string
}

/**
 * @param elsewhere the registry that has everything else
 * @returns its address, and the way to close it
 */
export async function startRegistry (packages: readonly Packed[], elsewhere: string): Promise<{ url: string, close: () => void }> {
  const server = createServer((request, response) => {
    const [name, file] = decodeURIComponent(request.url ?? '/').slice(1).split('/-/')
    const packed = packages.find(({ manifest }) => manifest.name === name)
    if (packed === undefined) response.writeHead(307, { location: new URL((request.url ?? '/').slice(1), elsewhere.replace(/\/*$/, '/')).href }).end()
    else if (file === undefined) describe(response, packed, `${url}/${name}/-/${name}-${packed.manifest.version}.tgz`)
    else response.writeHead(200, { 'content-type': 'application/octet-stream' }).end(readFileSync(packed.tarball))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url, close: () => { server.closeAllConnections(); server.close() } }
}

function describe (response: ServerResponse, { manifest, tarball }: Packed, address: string): void {
  const { name, version } = manifest
  const bytes = readFileSync(tarball)
  const integrity = `sha512-${createHash('sha512').update(bytes).digest('base64')}`
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({
    name, 'dist-tags': { latest: version }, versions: { [version]: { ...manifest, dist: { tarball: address, integrity } } }
  }))
}
