// An authorization server of two answers, for loads: it publishes one key and signs what it is told to.
import { generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import { createServer } from 'node:http'

const part = value => Buffer.from(JSON.stringify(value)).toString('base64url')

/**
 * @param audience of its tokens
 * @returns {{ url: string, mint: () => string, close: () => void }} `mint` gives a token of an hour, another one each time
 */
export async function startSmallIssuer (audience) {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const server = createServer((request, response) => {
    const answer = answers[request.url]
    response.writeHead(answer === undefined ? 404 : 200, { 'content-type': 'application/json' }).end(JSON.stringify(answer ?? {}))
  })
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  server.unref()
  const url = `http://127.0.0.1:${server.address().port}`
  const answers = {
    '/.well-known/oauth-authorization-server': { issuer: url, jwks_uri: `${url}/jwks`, token_endpoint: `${url}/token`, authorization_endpoint: `${url}/authorize` },
    '/jwks': { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'one', alg: 'ES256', use: 'sig' }] }
  }
  return {
    url,
    mint () {
      const now = Math.floor(Date.now() / 1000)
      const claims = { iss: url, aud: audience, sub: 'ada', client_id: 'load', scope: 'mcp:server:access mcp:tool:*', iat: now - 1, exp: now + 3600, jti: randomUUID() }
      const signed = `${part({ alg: 'ES256', typ: 'at+jwt', kid: 'one' })}.${part(claims)}`
      return `${signed}.${sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
    },
    close () {
      server.close()
      server.closeAllConnections()
    }
  }
}
