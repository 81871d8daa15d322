// A real authorization server (oidc-provider) on loopback, for tests and for trying the login out. Its people have no
// passwords and everything is in memory: never for anything else.
import { createServer } from 'node:http'
import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto'

/** The package warns at import about Node 20 and at start about what only matters in production. */
async function quietly (work) {
  const { warn, info } = console
  console.warn = console.info = () => {}
  try {
    return await work()
  } finally {
    Object.assign(console, { warn, info })
  }
}

/** A signing key as the server wants it, with a name of its own. */
export function signingKey (alg = 'ES256') {
  const { privateKey } = alg.startsWith('ES') ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('rsa', { modulusLength: 2048 })
  return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: randomUUID() }
}

/**
 * @param {object} options
 * @param {string} options.resource what tokens are for: the `resource` of our metadata
 * @param {string[]} options.scopes of the resource, all that exist
 * @param {'jwt' | 'opaque'} [options.format] of access tokens
 * @param {number} [options.port] picks a free one if absent
 * @param {object[]} [options.clients] as oidc-provider writes them, beside those that register themselves
 * @param {Record<string, object>} [options.documents] client ID metadata documents by URL; others are fetched from where they are
 * @param {number} [options.seconds] life of an access token
 * @returns {Promise<{ issuer: string, key: object, counts: Record<string, number>, close: () => Promise<void> }>}
 */
export async function startAuthorizationServer ({ resource, scopes, format = 'jwt', port = 0, clients = [], documents = {}, seconds = 3600 }) {
  const { Provider, interactionPolicy } = await quietly(() => import('oidc-provider'))
  const server = createServer()
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
  const issuer = `http://127.0.0.1:${server.address().port}`
  const key = signingKey()
  const ttl = () => 3600

  const provider = await quietly(() => new Provider(issuer, {
    jwks: { keys: [key] },
    clients,
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    scopes: ['openid', 'offline_access', ...scopes],
    pkce: { required: () => true },
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    interactions: { url: (_ctx, { uid }) => `/interaction/${uid}`, policy: interactionPolicy.base() },
    ttl: { AccessToken: () => seconds, ClientCredentials: () => seconds, IdToken: ttl, RefreshToken: ttl, Interaction: ttl, Session: ttl, Grant: ttl },
    renderError: (ctx, out) => { ctx.type = 'text/plain'; ctx.body = `${out.error}: ${out.error_description ?? ''}` },
    issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    clientBasedCORS: () => true,
    fetch: async (url, init) => documents[String(url)] === undefined
      ? await fetch(url, init)
      : Response.json(documents[String(url)]),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: (_ctx, client) => client.clientAuthMethod !== 'none' },
      revocation: { enabled: true, allowedPolicy: () => true },
      registration: { enabled: true },
      clientIdMetadataDocument: { enabled: true, ack: 'draft-02' },
      dPoP: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx, indicator) => ({
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
  provider.on('registration_create.success', async (_ctx, { clientId }) => {
    const { scope: _first, ...rest } = await provider.Client.adapter.find(clientId)
    await provider.Client.adapter.upsert(clientId, rest)
  })

  const counts = {}
  const serve = provider.callback()
  server.on('request', (request, response) => {
    const path = new URL(request.url, issuer).pathname
    counts[path] = (counts[path] ?? 0) + 1
    if (!path.startsWith('/interaction/')) return serve(request, response)
    interact(provider, resource, request, response).catch(error => {
      if (!response.headersSent) response.writeHead(500)
      response.end(error.message)
    })
  })
  return {
    issuer,
    key,
    counts,
    close: () => new Promise(resolve => { server.close(() => resolve()); server.closeAllConnections() })
  }
}

/** One page for both questions: who is it, and may the client have these scopes. */
async function interact (provider, resource, request, response) {
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

async function bodyOf (request) {
  let text = ''
  for await (const chunk of request) text += chunk
  return text
}

function page (prompt, { client_id: client, scope = '' }) {
  const safe = text => String(text).replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`)
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>Sign in</title>
<style>body{font:16px system-ui;max-width:26rem;margin:12vh auto;padding:0 1rem;color:#1f2430}button,input{font:inherit;padding:.5rem .9rem}li{font-family:ui-monospace,monospace}</style>
<h1>Authorization server</h1><p>For trying out only: anyone may sign in under any name.</p>
<p><b>${safe(client)}</b> asks for</p><ul>${safe(scope).split(' ').map(item => `<li>${item}</li>`).join('')}</ul>
<form method="post">${prompt === 'login' ? '<label>Name <input name="name" value="ada"></label> ' : ''}<button>Allow</button></form></html>`
}
