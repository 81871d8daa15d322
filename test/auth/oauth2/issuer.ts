/** An authorization server as small as can be, whose every answer a test may bend. */
import { constants, createHmac, generateKeyPairSync, randomUUID, sign, type KeyObject } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Test } from 'tap'

export type Json = Record<string, unknown>
export type Handler = (request: IncomingMessage & { body: string }, response: ServerResponse) => void

export interface Key { kid: string, alg: string, privateKey: KeyObject, publicKey: KeyObject, jwk: Json }

export function makeKey (alg = 'ES256'): Key {
  const { privateKey, publicKey } = alg.startsWith('ES')
    ? generateKeyPairSync('ec', { namedCurve: { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }[alg]! })
    : alg === 'EdDSA' || alg === 'Ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('rsa', { modulusLength: 2048 })
  const kid = randomUUID()
  return { kid, alg, privateKey, publicKey, jwk: { ...publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' } }
}

const part = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

/** Sign whatever is given, sensible or not. */
export function jws (header: Json, claims: unknown, { privateKey, alg }: Pick<Key, 'privateKey' | 'alg'>): string {
  const signed = `${part(header)}.${part(claims)}`
  return `${signed}.${signatureOf(signed, privateKey, alg).toString('base64url')}`
}

export function hmacJws (header: Json, claims: unknown, secret: string | Buffer): string {
  const signed = `${part(header)}.${part(claims)}`
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}

function signatureOf (signed: string, key: KeyObject, alg: string): Buffer {
  const data = Buffer.from(signed)
  if (alg === 'EdDSA' || alg === 'Ed25519') return sign(null, data, key)
  const hash = `sha${alg.slice(2)}`
  if (alg.startsWith('ES')) return sign(hash, data, { key, dsaEncoding: 'ieee-p1363' })
  if (alg.startsWith('PS')) return sign(hash, data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST })
  return sign(hash, data, key)
}

export const AUDIENCE = 'http://localhost:3000/mcp'
export const ALL_SCOPES = 'mcp:server:access mcp:tool:*'

export interface Issuer {
  readonly url: string
  /** What `/jwks` answers. */
  keys: Key[]
  /** Instead of the usual answers, by path. */
  readonly bend: Map<string, Handler>
  readonly counts: Map<string, number>
  /** A good token, but for what is said. A claim or header that is undefined is left out. */
  mint (claims?: Json, header?: Json, key?: Key): string
  claims (more?: Json): Json
  json (body: unknown, status?: number): Handler
}

export async function startIssuer (t: Test, { alg = 'ES256', path = '' }: { alg?: string, path?: string } = {}): Promise<Issuer> {
  const counts = new Map<string, number>()
  const bend = new Map<string, Handler>()
  const server = createServer((request, response) => {
    const url = request.url!.split('?')[0]!
    counts.set(url, (counts.get(url) ?? 0) + 1)
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
      const handler = bend.get(url) ?? bend.get('*') ?? usual[url] ?? issuer.json({ error: 'not_found' }, 404)
      handler(Object.assign(request, { body: Buffer.concat(chunks).toString() }), response)
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => new Promise<void>(resolve => { server.close(() => resolve()); server.closeAllConnections() }))
  const origin = `http://127.0.0.1:${(server.address() as { port: number }).port}`

  const issuer: Issuer = {
    url: origin + path,
    keys: [makeKey(alg)],
    bend,
    counts,
    claims (more = {}) {
      const now = Math.floor(Date.now() / 1000)
      return { iss: issuer.url, aud: AUDIENCE, sub: 'ada', client_id: 'client-1', scope: ALL_SCOPES, iat: now - 1, exp: now + 600, jti: randomUUID(), ...more }
    },
    mint: (claims = {}, header = {}, key = issuer.keys[0]!) =>
      jws({ alg: key.alg, typ: 'at+jwt', kid: key.kid, ...header }, issuer.claims(claims), key),
    json: (body, status = 200) => (_request, response) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    }
  }
  const usual: Record<string, Handler> = {
    [`/.well-known/oauth-authorization-server${path}`]: (request, response) => issuer.json({
      issuer: issuer.url, jwks_uri: `${origin}/jwks`, introspection_endpoint: `${origin}/introspect`, token_endpoint: `${origin}/token`, authorization_endpoint: `${origin}/authorize`
    })(request, response),
    '/jwks': (request, response) => issuer.json({ keys: issuer.keys.map(({ jwk }) => jwk) })(request, response)
  }
  return issuer
}
