import { createServer, type RequestListener } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { fetched } from '../npm.ts'
import { Browser, SCOPES, type OtherServer } from './browser.ts'

const VERSION = '1.7.5'
/** Its peers want exactly these. */
const PACKAGES = [`better-auth@${VERSION}`, `@better-auth/oauth-provider@${VERSION}`, `@better-auth/core@${VERSION}`, '@better-auth/utils@0.4.2', 'better-call@1.4.0', '@better-fetch/fetch@1.3.2']
const TABLES = ['user', 'session', 'account', 'verification', 'jwks', 'oauthClient', 'oauthAccessToken', 'oauthRefreshToken', 'oauthConsent', 'oauthResource', 'oauthClientResource', 'oauthClientAssertion', 'rateLimit']
const PERSON = { email: 'ada@example.com', password: 'a-password-of-ada', name: 'ada' }

interface Plugins { jwt: () => unknown }
interface Provider { oauthProvider: (options: object) => unknown }
interface Auth { betterAuth: (options: object) => unknown }
interface Adapter { memoryAdapter: (tables: object) => unknown }
interface Node { toNodeHandler: (auth: unknown) => RequestListener }

/** better-auth with its OAuth provider, as its documentation sets it up: EdDSA, an issuer with a path, everything in memory. */
export async function startBetterAuth (resource: string): Promise<OtherServer> {
  const require = createRequire(join(fetched('better-auth', PACKAGES), 'package.json'))
  // Installed apart from our packages, so their types are not known here.
  const load = async <T>(name: string): Promise<T> => await import(pathToFileURL(require.resolve(name)).href) as T
  const { betterAuth } = await load<Auth>('better-auth')
  const { jwt } = await load<Plugins>('better-auth/plugins')
  const { memoryAdapter } = await load<Adapter>('better-auth/adapters/memory')
  const { oauthProvider } = await load<Provider>('@better-auth/oauth-provider')
  const { toNodeHandler } = await load<Node>('better-auth/node')

  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const origin = `http://localhost:${(server.address() as AddressInfo).port}`
  const scopes = ['openid', 'offline_access', ...SCOPES]
  server.on('request', toNodeHandler(betterAuth({
    baseURL: origin,
    secret: 'a-secret-of-the-tests-0123456789abcdef',
    database: memoryAdapter(Object.fromEntries(TABLES.map(name => [name, []]))),
    emailAndPassword: { enabled: true },
    telemetry: { enabled: false },
    rateLimit: { enabled: false },
    logger: { disabled: true },
    disabledPaths: ['/token'],
    plugins: [jwt(), oauthProvider({
      loginPage: '/login',
      consentPage: '/consent',
      scopes,
      resources: [resource],
      allowDynamicClientRegistration: true,
      allowUnauthenticatedClientRegistration: true,
      clientRegistrationDefaultScopes: scopes,
      clientRegistrationDefaultResources: [resource]
    })]
  })))
  const api = `${origin}/api/auth`
  const person = new Browser()
  const { status, text } = await person.send('POST', `${api}/sign-up/email`, PERSON)
  if (status !== 200) throw new Error(`sign-up: ${status} ${text}`)

  return {
    name: `better-auth ${VERSION}`,
    issuer: api,
    async register (redirectUri) {
      const { text } = await person.send('POST', `${api}/oauth2/create-client`, {
        client_name: 'login', redirect_uris: [redirectUri], token_endpoint_auth_method: 'client_secret_basic', application_type: 'native', scope: scopes.join(' ')
      })
      const { client_id: id, client_secret: secret } = JSON.parse(text) as { client_id: string, client_secret: string }
      return { id, secret }
    },
    async login (url) {
      const browser = new Browser()
      await browser.send('POST', `${api}/sign-in/email`, PERSON)
      const asked = addressOf(await browser.visit(url), url)
      if (asked.pathname !== '/consent') return asked
      return addressOf(await browser.send('POST', `${api}/oauth2/consent`, { accept: true, oauth_query: asked.search.slice(1) }), url)
    },
    close: () => new Promise(resolve => { server.close(() => resolve()); server.closeAllConnections() })
  }
}

/** Where it sends the browser: as a redirect, or as JSON for its own page to follow. */
function addressOf ({ status, location, text }: { status: number, location: string | undefined, text: string }, base: URL): URL {
  if (location !== undefined) return new URL(location, base)
  const { url } = JSON.parse(text) as { url?: string }
  if (url === undefined) throw new Error(`${status} ${text}`)
  return new URL(url, base)
}
