import { randomBytes } from 'node:crypto'
import fastifyOauth2, { type OAuth2Namespace } from '@fastify/oauth2'
import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { Unreachable } from '../src/resilience/unreachable.ts'
import type { Metadata } from '../src/auth/oauth2/discovery.ts'
import type { Issuer } from '../src/auth/oauth2/issuer.ts'
import { sealer, type Sealer } from '../src/core/seal.ts'
import { AppError } from '../src/errors.ts'

export interface OAuth2LoginOptions {
  issuers: readonly Issuer[]
  publicUrl: string
  clientId: string
  /** Undefined for a client that is registered as public. */
  clientSecret: string | undefined
  /** What the token is asked for (RFC 8707); undefined leaves it to the authorization server. */
  resource: string | undefined
  /** STATE_SECRET; empty makes one, which is right for one replica. */
  secrets: readonly string[]
}

export interface Login {
  /**
   * Begin: the URL to send the browser to. Sets the cookies that bind `state` and the PKCE verifier to this browser.
   *
   * @param scopes as the authorization server knows them
   * @throws {Unreachable}
   */
  begin (request: FastifyRequest, reply: FastifyReply, scopes: readonly string[]): Promise<string>
  /**
   * Exchange the code that the browser came back with.
   *
   * @throws {AppError} INVALID_REQUEST if this browser did not begin it, or another issuer answered
   * @throws {Unreachable}
   */
  finish (request: FastifyRequest, reply: FastifyReply): Promise<{ token: string, expiresAt: number | undefined }>
}

/** How long a person may take at the authorization server, ms. */
const PATIENCE_MS = 600_000
const BINDING = ['login']

type Query = Readonly<Record<string, unknown>>

/** What is known of a set of endpoints: the library's two steps for it. */
interface KnownClient { readonly metadata: Metadata, readonly client: Promise<OAuth2Namespace> }

/**
 * Browser login by @fastify/oauth2: authorization code with PKCE. That plugin
 * wants to know the endpoints when it is registered, and they are known when
 * the authorization server was asked: so it is registered for each set of
 * endpoints in an instance of its own that never listens, and only its two
 * steps are used here. All that is to be remembered stands in the browser, so
 * any replica may finish what another began.
 */
class BrowserLogin implements Login {
  readonly #options: OAuth2LoginOptions
  readonly #states: Sealer
  readonly #secure: boolean
  readonly #clients = new Map<string, KnownClient>()
  readonly #sealed = new WeakMap<FastifyRequest, string>()

  constructor (options: OAuth2LoginOptions) {
    const { secrets, publicUrl } = options
    this.#options = options
    this.#states = sealer(secrets.length > 0 ? secrets : [randomBytes(32).toString('base64url')], 'oauth login')
    this.#secure = publicUrl.startsWith('https:')
  }

  async begin (request: FastifyRequest, reply: FastifyReply, scopes: readonly string[]): Promise<string> {
    const { issuers, resource } = this.#options
    const issuer = issuers[0]!
    this.#sealed.set(request, this.#states.seal({ issuer: issuer.name }, BINDING, Date.now() + PATIENCE_MS))
    const client = await this.#clientOf(issuer)
    const url = new URL(await client.generateAuthorizationUri(request, reply))
    url.searchParams.set('scope', scopes.join(' '))
    if (resource !== undefined) url.searchParams.set('resource', resource)
    return url.href
  }

  async finish (
    request: FastifyRequest,
    reply: FastifyReply
  ): Promise<{ token: string; expiresAt: number | undefined }> {
    const { state, iss } = request.query as Query
    const opened = typeof state === 'string' ? this.#states.open(state, BINDING, Date.now()) : undefined
    const name = (opened?.value as { issuer?: unknown } | undefined)?.issuer
    const issuer = this.#options.issuers.find(issuer => issuer.name === name)
    const cookie = this.#secure ? '__Host-oauth2-redirect-state' : 'oauth2-redirect-state'
    if (issuer === undefined || request.cookies[cookie] !== state) {
      throw new AppError('INVALID_REQUEST', 'This browser did not begin this login, or began it too long ago.')
    }
    // RFC 9207: an answer of another server must not be exchanged at this one.
    if (iss !== issuer.name && (iss !== undefined || (await issuer.metadata()).namesIssuer)) {
      throw new AppError('INVALID_REQUEST', 'The answer came from another authorization server.')
    }
    const client = await this.#clientOf(issuer)
    const { token } = await client.getAccessTokenFromAuthorizationCodeFlow(request, reply)
    const { access_token: accessToken, expires_in: seconds } = token as { access_token?: unknown; expires_in?: unknown }
    if (typeof accessToken !== 'string' || accessToken === '') {
      throw new Unreachable('the token endpoint answered without a token')
    }
    return { token: accessToken, expiresAt: typeof seconds === 'number' ? Date.now() + seconds * 1000 : undefined }
  }

  /** One for each set of endpoints; they hardly ever change. */
  async #clientOf (issuer: Issuer): Promise<OAuth2Namespace> {
    const metadata = await issuer.metadata()
    const known = this.#clients.get(issuer.name)
    if (known?.metadata === metadata) return await known.client
    const client = registerClient(metadata, this.#options, request => this.#sealed.get(request)!)
    this.#clients.set(issuer.name, { metadata, client })
    return await client
  }
}

/** @param stateOf the state that was sealed for a request */
async function registerClient (
  { authorizationEndpoint, tokenEndpoint, tokenAuth }: Metadata,
  { publicUrl, clientId, clientSecret, resource }: OAuth2LoginOptions,
  stateOf: (request: FastifyRequest) => string
): Promise<OAuth2Namespace> {
  if (authorizationEndpoint === undefined) {
    throw new Unreachable('the metadata names no authorization_endpoint that may be used')
  }
  if (tokenEndpoint === undefined) throw new Unreachable('the metadata names no token_endpoint that may be used')
  const secure = publicUrl.startsWith('https:')
  const holder = Fastify({ logger: false })
  await holder.register(fastifyOauth2, {
    name: 'client',
    scope: [],
    callbackUri: `${publicUrl}/oauth/callback`,
    pkce: 'S256',
    hostPrefixedCookies: secure,
    cookie: { path: '/', secure, httpOnly: true, sameSite: 'lax', maxAge: PATIENCE_MS / 1000 },
    generateStateFunction: stateOf,
    // Looked at in `finish`, before anything is asked.
    checkStateFunction: () => true,
    ...(resource === undefined ? {} : { tokenRequestParams: { resource } }),
    credentials: {
      client: clientSecret === undefined
        // A public client sends its name alone: the second field is made to be the first again.
        ? { id: clientId, secret: clientId, secretParamName: 'client_id' }
        : { id: clientId, secret: clientSecret },
      // Whole URLs for paths: the library resolves a path against its host, which makes `//api/auth` the host `api`.
      auth: {
        authorizeHost: new URL(authorizationEndpoint).origin,
        authorizePath: authorizationEndpoint,
        tokenHost: new URL(tokenEndpoint).origin,
        tokenPath: tokenEndpoint
      },
      http: { timeout: 5000, maxBytes: 262_144, redirects: false, json: 'force' },
      options: { authorizationMethod: clientSecret === undefined || tokenAuth === 'post' ? 'body' : 'header' }
    }
  })
  await holder.ready()
  return (holder as unknown as { client: OAuth2Namespace }).client
}

export default fp<OAuth2LoginOptions>(async function browserLogin (app, options) {
  app.secureMcp.login = new BrowserLogin(options)
}, { name: 'secure-mcp/browser-login', fastify: '5.x', dependencies: ['secure-mcp/auth'] })
