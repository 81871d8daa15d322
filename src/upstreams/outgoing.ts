/**
 * What headers go out to an upstream, and the access tokens among them. Tokens
 * are held in this process only. A secret goes to the token endpoint that the
 * file names, and to nobody whom an upstream names.
 */
import { createHash } from 'node:crypto'
import * as oauth from 'oauth4webapi'
import { Agent, fetch as undiciFetch } from 'undici'
import { passedBy, viaHeader } from '../core/via.ts'
import { BoundedMap } from '../resilience/bounded-map.ts'
import { guardedLookup, networkOfHost, urlFault } from './address-guard.ts'
import type { UpstreamAuth } from './entry.ts'
import type { WireCaller } from './wire.ts'

/** Goes on from "Upstream x"; names no secret. */
export class TokenTrouble extends Error {
  override readonly name = 'TokenTrouble'
}

/** What an entry says, with values in place of templates. */
export interface OutgoingOptions {
  readonly headers: Readonly<Record<string, string>>
  /** Lower-case names of the caller's headers that go on. */
  readonly forwardHeaders: readonly string[]
  readonly tokens?: UpstreamTokens | undefined
  /** The name of this gateway, which goes with every message. */
  readonly gateway?: string
}

/** Whatever the file says: credentials of callers, and headers of the connection, of proxies and of the protocol. */
export const NEVER_FORWARDED = new RegExp(`^(?:${[
  'authorization|cookie|dpop|x-api-key|x-upstream-.*|proxy-.*',
  'forwarded|x-forwarded-.*|host|connection|keep-alive|te|trailer|via|transfer-encoding|upgrade|expect',
  'mcp-.*|content-.*|accept|accept-encoding'
].join('|')})$`)
/** RFC 9110 §5.5: everything else ends the header, or is another one. */
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

type OutgoingHeaders = Readonly<Record<string, string>>

export class Outgoing {
  readonly #fixed: OutgoingHeaders
  readonly #forwarded: readonly string[]
  readonly #tokens: UpstreamTokens | undefined
  readonly #gateway: string | undefined
  readonly #fixedVia: OutgoingHeaders

  /** @throws {TokenTrouble} for a value that is no header */
  constructor ({ headers, forwardHeaders, tokens, gateway }: OutgoingOptions) {
    for (const [name, value] of Object.entries(headers)) {
      if (HEADER_VALUE.test(value)) continue
      throw new TokenTrouble(`cannot be asked: its header ${name} has a character that no header may have`)
    }
    this.#fixed = headers
    this.#forwarded = forwardHeaders.filter(name => !NEVER_FORWARDED.test(name) && headers[name] === undefined)
    this.#tokens = tokens
    this.#gateway = gateway
    this.#fixedVia = { ...viaOf([], gateway), ...headers }
  }

  /** Whether something goes out that nobody on the way may read. */
  get sendsSecrets (): boolean {
    return this.#tokens !== undefined || Object.keys(this.#fixed).length > 0
  }

  /**
   * @param caller whose headers and token may go on, where the file says so
   * @throws {TokenTrouble} where a token is needed and there is none
   */
  headers (caller: WireCaller | undefined): OutgoingHeaders | Promise<OutgoingHeaders> {
    const headers = this.#headersFor(caller)
    if (this.#tokens === undefined) return headers
    const token = this.#tokens.get(caller)
    return token instanceof Promise ? token.then(token => withToken(headers, token)) : withToken(headers, token)
  }

  /**
   * A token was refused (401): fetch another the next time.
   *
   * @param authorization the header that was refused
   * @returns whether there is use in trying again
   */
  forgetToken (caller: WireCaller | undefined, authorization: string | undefined): boolean {
    if (this.#tokens === undefined || authorization === undefined) return false
    return this.#tokens.forget(caller, authorization.slice(BEARER.length))
  }

  #headersFor (caller: WireCaller | undefined): OutgoingHeaders {
    const passed = caller?.header('via')
    if (caller === undefined || (passed === undefined && this.#forwarded.length === 0)) return this.#fixedVia
    return { ...this.#forwardedOf(caller), ...viaOf(passedBy(passed), this.#gateway), ...this.#fixed }
  }

  #forwardedOf (caller: WireCaller): Record<string, string> {
    const headers: Record<string, string> = {}
    for (const name of this.#forwarded) {
      const value = caller.header(name)
      if (value !== undefined && HEADER_VALUE.test(value)) headers[name] = value
    }
    return headers
  }
}

function viaOf (passed: readonly string[], gateway: string | undefined): OutgoingHeaders {
  return gateway === undefined ? {} : { via: viaHeader(passed, gateway) }
}

const BEARER = 'Bearer '

function withToken (headers: OutgoingHeaders, token: string): OutgoingHeaders {
  return { ...headers, authorization: BEARER + token }
}

/** With the value of its secret. */
export type ResolvedAuth = Omit<UpstreamAuth, 'clientSecret'> & { readonly clientSecret: string | undefined }

interface HeldToken { readonly value: string, readonly fetchedAt: number, readonly renewAt: number }

/** Subjects whose exchanged tokens are kept. */
const MAX_SUBJECTS = 1000
const TIMEOUT_MS = 10_000
/** Of a token whose server does not say how long it lives. */
const DEFAULT_LIFE_S = 300
/** A token is renewed while it still serves. */
const RENEW_AT = 0.8
const MAX_BODY_BYTES = 262_144
/** Between attempts that fail: a token endpoint in trouble is not asked once a call. */
const FAILED_PAUSE_MS = 1000
/** An upstream that refuses every token does not make us fetch one a call. */
const MIN_LIFE_MS = 5000
const OWN = ''

/**
 * Access tokens for one upstream: this server's own (RFC 6749 section 4.4), or
 * one for each caller (RFC 8693). One request at a time for each.
 */
export class UpstreamTokens {
  readonly #auth: ResolvedAuth
  readonly #agents = new Map<string, Agent>()
  readonly #held = new BoundedMap<HeldToken>(MAX_SUBJECTS)
  readonly #underWay = new Map<string, Promise<string>>()
  readonly #failed = new BoundedMap<TokenTrouble>(MAX_SUBJECTS)
  #server: oauth.AuthorizationServer | undefined

  constructor (auth: ResolvedAuth) {
    this.#auth = auth
  }

  /** For masking. */
  get clientSecret (): string | undefined {
    return this.#auth.clientSecret
  }

  /** @throws {TokenTrouble} */
  get (caller: WireCaller | undefined): string | Promise<string> {
    const subject = this.#subject(caller)
    const key = keyOf(subject)
    const now = performance.now()
    const held = this.#held.get(key, now)
    if (held === undefined) return this.#fetch(key, subject)
    if (now >= held.renewAt) this.#fetch(key, subject).catch(() => {})
    return held.value
  }

  /** @returns whether there is another, or may be: one that was fetched just now would be refused again */
  forget (caller: WireCaller | undefined, token: string): boolean {
    const key = keyOf(this.#subject(caller))
    const now = performance.now()
    const held = this.#held.get(key, now)
    if (held === undefined || held.value !== token) return true
    if (now - held.fetchedAt < MIN_LIFE_MS) return false
    this.#held.set(key, held, now)
    return true
  }

  async close (): Promise<void> {
    await Promise.all([...this.#agents.values()].map(agent => agent.destroy()))
  }

  /** @returns undefined for this server's own */
  #subject (caller: WireCaller | undefined): string | undefined {
    if (this.#auth.type === 'client_credentials') return undefined
    const subject = caller?.subjectToken?.()
    if (subject !== undefined) return subject
    throw new TokenTrouble('needs a signed-in user: its token is made from that of the caller, and an API key has none')
  }

  #fetch (key: string, subject: string | undefined): Promise<string> {
    const underWay = this.#underWay.get(key)
    if (underWay !== undefined) return underWay
    const failed = this.#failed.get(key, performance.now())
    if (failed !== undefined) return Promise.reject(failed)
    const fetched = this.#ask(key, subject).finally(() => this.#underWay.delete(key))
    this.#underWay.set(key, fetched)
    return fetched
  }

  async #ask (key: string, subject: string | undefined): Promise<string> {
    try {
      const { access_token: value, expires_in: lifeS = DEFAULT_LIFE_S } = await this.#grant(subject)
      const now = performance.now()
      const lifeMs = Math.min(lifeS * 1000, subject === undefined ? Infinity : msLeft(subject))
      this.#held.set(key, { value, fetchedAt: now, renewAt: now + lifeMs * RENEW_AT }, now + lifeMs)
      return value
    } catch (error) {
      const trouble = new TokenTrouble(`cannot be asked: ${reasonOf(error)}`)
      this.#failed.set(key, trouble, performance.now() + FAILED_PAUSE_MS)
      throw trouble
    }
  }

  async #grant (subject: string | undefined): Promise<oauth.TokenEndpointResponse> {
    const { clientId, clientSecret, scope, resource, audience } = this.#auth
    const server = this.#server ??= await this.#discovered()
    const client: oauth.Client = { client_id: clientId }
    const method = clientAuthentication(server, clientSecret)
    const parameters = new URLSearchParams()
    for (const [name, value] of Object.entries({ scope, resource, audience })) {
      if (value !== undefined) parameters.set(name, value)
    }
    const options = this.#options()
    if (subject === undefined) {
      const response = await oauth.clientCredentialsGrantRequest(server, client, method, parameters, options)
      return await oauth.processClientCredentialsResponse(server, client, response)
    }
    parameters.set('subject_token', subject)
    parameters.set('subject_token_type', ACCESS_TOKEN)
    parameters.set('requested_token_type', ACCESS_TOKEN)
    const asked = oauth.genericTokenEndpointRequest(server, client, method, TOKEN_EXCHANGE, parameters, options)
    return await oauth.processGenericTokenEndpointResponse(server, client, await asked)
  }

  /** The token endpoint of the file, or of the metadata of the issuer that the file names. */
  async #discovered (): Promise<oauth.AuthorizationServer> {
    const { tokenUrl, issuer } = this.#auth
    if (tokenUrl !== undefined) return { issuer: new URL(tokenUrl).origin, token_endpoint: tokenUrl }
    const url = new URL(issuer!)
    const options = this.#options()
    let last: unknown
    for (const algorithm of ['oauth2', 'oidc'] as const) {
      try {
        const response = await oauth.discoveryRequest(url, { algorithm, ...options })
        const server = await oauth.processDiscoveryResponse(url, response)
        if (server.token_endpoint === undefined) throw new Error('the issuer names no token endpoint')
        return server
      } catch (error) {
        last = error
      }
    }
    throw last
  }

  #options () {
    return {
      // Plain http is judged by the guard, by where the address lies.
      [oauth.allowInsecureRequests]: true,
      [oauth.customFetch]: (url: string, init: TokenRequest) => this.#guardedFetch(url, init)
    }
  }

  /** Redirects are given back as they are, which the library takes for an error. */
  async #guardedFetch (url: string, { method, headers, body }: TokenRequest): Promise<Response> {
    const where = new URL(url)
    const fault = urlFault(where, undefined, true)
    if (fault !== undefined) throw new Error(`its token endpoint ${fault}`)
    const response = await undiciFetch(where, {
      method,
      headers,
      redirect: 'manual',
      dispatcher: this.#agent(where),
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(body === undefined ? {} : { body: body.toString() })
    })
    const text = await readBounded(response.body)
    const { status } = response
    return new Response(NO_BODY.has(status) ? null : text, { status, headers: [...response.headers] })
  }

  #agent ({ hostname, origin }: URL): Agent {
    const known = this.#agents.get(origin)
    if (known !== undefined) return known
    const lookup = guardedLookup(networkOfHost(hostname) ?? 'public')
    const agent = new Agent({ connect: { lookup } })
    this.#agents.set(origin, agent)
    return agent
  }
}

type TokenRequest = oauth.CustomFetchOptions<'GET' | 'POST', URLSearchParams | undefined>

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'
const NO_BODY = new Set([101, 204, 205, 304])

/** Never the token itself: who reads this process's memory should find as few as can be. */
function keyOf (subject: string | undefined): string {
  return subject === undefined ? OWN : createHash('sha256').update(subject).digest('base64url')
}

/** In a header, unless the server's metadata takes the secret in the body alone (RFC 8414 §2). */
function clientAuthentication (server: oauth.AuthorizationServer, secret: string | undefined): oauth.ClientAuth {
  if (secret === undefined) return oauth.None()
  const { token_endpoint_auth_methods_supported: methods = [] } = server
  const inBody = methods.includes('client_secret_post') && !methods.includes('client_secret_basic')
  return inBody ? oauth.ClientSecretPost(secret) : oauth.ClientSecretBasic(secret)
}

/** Until a JSON Web Token ends; an opaque one is not asked about. */
function msLeft (token: string): number {
  try {
    const claims = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8')
    const { exp } = JSON.parse(claims) as { exp?: unknown }
    return typeof exp === 'number' ? Math.max(exp * 1000 - Date.now(), 0) : Infinity
  } catch {
    return Infinity
  }
}

async function readBounded (body: AsyncIterable<Uint8Array> | null): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body ?? []) {
    size += chunk.length
    if (size > MAX_BODY_BYTES) throw new Error('its token endpoint answered with too much')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

const SHOWN_ERROR = /^[\w-]{1,64}$/

/** Errors of the library may hold an answer, and an answer what was sent. */
function reasonOf (error: unknown): string {
  if (error instanceof oauth.ResponseBodyError) {
    return `its token endpoint refused (${SHOWN_ERROR.exec(error.error)?.[0] ?? 'no reason'})`
  }
  if (error instanceof oauth.WWWAuthenticateChallengeError) return 'its token endpoint refused the client'
  if (error instanceof oauth.OperationProcessingError) return 'its token endpoint did not answer as one'
  const { name, message, cause } = error as Error & { cause?: { code?: unknown, message?: string, name?: string } }
  if (name === 'TimeoutError') return 'its token endpoint did not answer in time'
  if (message.startsWith('its token endpoint')) return message
  if (cause?.name === 'AddressRefused') return `its token endpoint cannot be asked: ${cause.message}`
  return `its token endpoint cannot be reached${typeof cause?.code === 'string' ? ` (${cause.code})` : ''}`
}
