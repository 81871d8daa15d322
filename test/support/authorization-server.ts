// A real authorization server (oidc-provider) on loopback, for tests and for trying the login out. Its people have no
// passwords and everything is in memory: never for anything else.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto'

/** The package warns at import about Node 20 and at start about what only matters in production. */
async function quietly<T> (work: () => T | Promise<T>): Promise<T> {
  const { warn, info } = console
  console.warn = console.info = () => {}
  try {
    return await work()
  } finally {
    Object.assign(console, { warn, info })
  }
}

/** A signing key as the server wants it, with a name of its own. */
export function signingKey (alg = 'ES256'): Record<string, string> {
  const { privateKey } = alg.startsWith('ES') ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('rsa', { modulusLength: 2048 })
  return { ...privateKey.export({ format: 'jwk' }) as Record<string, string>, alg, use: 'sig', kid: randomUUID() }
}

export interface AuthorizationServer {
  readonly issuer: string
  /** The private key that it signs with, as JWK. */
  readonly key: Record<string, string>
  /** Requests so far, by path. */
  readonly counts: Record<string, number>
  close (): Promise<void>
}

export interface AuthorizationServerOptions {
  /** What tokens are for: the `resource` of our metadata. */
  resource: string
  /** Of the resource, all that exist. */
  scopes: string[]
  /** Of access tokens. */
  format?: 'jwt' | 'opaque'
  /** Picks a free one if absent. */
  port?: number
  /** As oidc-provider writes them, beside those that register themselves. */
  clients?: object[]
  /** Client ID metadata documents by URL; others are fetched from where they are. */
  documents?: Record<string, object>
  /** Life of an access token, s. */
  seconds?: number
}

const OIDC_PROVIDER: string = 'oidc-provider'
/** What of oidc-provider is used here: it ships no types. */
type Provider = any
type Context = any

export async function startAuthorizationServer ({ resource, scopes, format = 'jwt', port = 0, clients = [], documents = {}, seconds = 3600 }: AuthorizationServerOptions): Promise<AuthorizationServer> {
  const { Provider, interactionPolicy } = await quietly(() => import(OIDC_PROVIDER)) as Record<string, any>
  const server = createServer()
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const key = signingKey()
  const ttl = () => 3600

  const provider: Provider = await quietly(() => new Provider(issuer, {
    jwks: { keys: [key] },
    clients,
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    scopes: ['openid', 'offline_access', ...scopes],
    pkce: { required: () => true },
    findAccount: (_ctx: Context, id: string) => ({ accountId: id, claims: () => ({ sub: id }) }),
    interactions: { url: (_ctx: Context, { uid }: { uid: string }) => `/interaction/${uid}`, policy: interactionPolicy.base() },
    ttl: { AccessToken: () => seconds, ClientCredentials: () => seconds, IdToken: ttl, RefreshToken: ttl, Interaction: ttl, Session: ttl, Grant: ttl },
    renderError: (ctx: Context, out: { error: string, error_description?: string }) => { ctx.type = 'text/plain'; ctx.body = `${out.error}: ${out.error_description ?? ''}` },
    issueRefreshToken: (_ctx: Context, client: any) => client.grantTypeAllowed('refresh_token'),
    clientBasedCORS: () => true,
    fetch: async (url: URL | string, init: RequestInit) => documents[String(url)] === undefined
      ? await fetch(url, init)
      : Response.json(documents[String(url)]),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: (_ctx: Context, client: any) => client.clientAuthMethod !== 'none' },
      revocation: { enabled: true, allowedPolicy: () => true },
      registration: { enabled: true },
      clientIdMetadataDocument: { enabled: true, ack: 'draft-02' },
      dPoP: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx: Context, indicator: string) => ({
          scope: scopes.join(' '),
          audience: indicator,
          accessTokenFormat: format,
          accessTokenTTL: seconds,
          ...(format === 'jwt' ? { jwt: { sign: { alg: 'ES256' } } } : {})
        })
      }
    }
  }))

  // Clients of today register with the first scope that they were asked for; held to it, none of them could ever step up.
  provider.on('registration_create.success', async (_ctx: Context, { clientId }: { clientId: string }) => {
    const { scope: _first, ...rest } = await provider.Client.adapter.find(clientId)
    await provider.Client.adapter.upsert(clientId, rest)
  })

  const counts: Record<string, number> = {}
  const serve = provider.callback()
  server.on('request', (request, response) => {
    const path = new URL(request.url!, issuer).pathname
    counts[path] = (counts[path] ?? 0) + 1
    if (!path.startsWith('/interaction/')) return serve(request, response)
    interact(provider, resource, request, response).catch((error: Error) => {
      if (!response.headersSent) response.writeHead(500)
      response.end(error.message)
    })
  })
  return {
    issuer,
    key,
    counts,
    close: () => new Promise<void>(resolve => { server.close(() => resolve()); server.closeAllConnections() })
  }
}

/** One page for both questions: who is it, and may the client have these scopes. */
async function interact (provider: Provider, resource: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const details = await provider.interactionDetails(request, response)
  const { params, prompt, session, grantId } = details
  if (request.method !== 'POST') {
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' })
    response.end(page(prompt.name, params))
    return
  }
  const form = new URLSearchParams(await bodyOf(request))
  const accountId = session?.accountId ?? form.get('name') ?? 'ada'
  const asked = String(params.scope ?? '').split(' ').filter(scope => scope !== '')
  const grant = (grantId === undefined ? undefined : await provider.Grant.find(grantId)) ?? new provider.Grant({ accountId, clientId: params.client_id })
  grant.addOIDCScope(asked.join(' '))
  for (const indicator of [params.resource ?? resource].flat()) grant.addResourceScope(indicator, asked.join(' '))
  await provider.interactionFinished(request, response, {
    ...(prompt.name === 'login' ? { login: { accountId } } : {}),
    consent: { grantId: await grant.save() }
  }, { mergeWithLastSubmission: true })
}

async function bodyOf (request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request as AsyncIterable<Buffer>) text += chunk.toString()
  return text
}

function page (prompt: string, { client_id: client, scope = '' }: { client_id: string, scope?: string }): string {
  const safe = (text: string) => text.replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`)
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>Sign in</title>
<style>body{font:16px system-ui;max-width:26rem;margin:12vh auto;padding:0 1rem;color:#1f2430}button,input{font:inherit;padding:.5rem .9rem}li{font-family:ui-monospace,monospace}</style>
<h1>Authorization server</h1><p>For trying out only: anyone may sign in under any name.</p>
<p><b>${safe(client)}</b> asks for</p><ul>${safe(scope).split(' ').map(item => `<li>${item}</li>`).join('')}</ul>
<form method="post">${prompt === 'login' ? '<label>Name <input name="name" value="ada"></label> ' : ''}<button>Allow</button></form></html>`
}
