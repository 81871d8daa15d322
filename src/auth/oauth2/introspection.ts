/** Tokens that only their authorization server can read (RFC 7662), and the older `tokeninfo` form. */
import { judgeIntrospection, judgeTokenInfo, type TokenFacts, type TokenRules } from '../../core/access-token.ts'
import { addressGroup } from '../../core/address.ts'
import { Places } from '../../core/places.ts'
import { CallGuard } from '../../resilience/call-guard.ts'
import { Unreachable } from '../../resilience/unreachable.ts'
import type { RequestFacts } from '../authenticator.ts'
import { askJson, errorOf, type BoundedRequest, type BoundedResponse, type Bounds } from './bounded-fetch.ts'
import type { Issuer } from './issuer.ts'

/** For whom a question is asked: its places are bounded by address. */
export type Asker = Pick<RequestFacts, 'address' | 'standing'>

export interface Introspection {
  /**
   * Ask about a token.
   *
   * @returns its facts, or why it is refused; undefined if this server offers no such thing
   * @throws {Unreachable} if nothing can be said
   */
  ask (token: string, asker: Asker): Promise<{ readonly facts: TokenFacts } | { readonly refused: string } | undefined>
}

export interface Credentials { readonly id: string, readonly secret: string | undefined }

/** Well under the second that an authorization server in trouble may cost. */
const DECISION: Bounds = { timeoutMs: 800, maxBytes: 65_536 }
/** Questions under way at once; more are refused rather than queued. */
const MAX_UNDER_WAY = 50
/**
 * Of them for one address, and for all addresses together from which wrong credentials came lately: the rest
 * is kept for others.
 */
const MAX_OF_ADDRESS = 40
const MAX_OF_FAILED = 20
/** Failures in a row until nothing is asked for a while. */
const MAX_FAILURES = 5
const PAUSE_MS = 5000

const ABOUT_THE_TOKEN: ReadonlySet<string> = new Set(['invalid_request', 'invalid_token', 'unsupported_token_type'])

/** Ask the introspection endpoint that the issuer's metadata names. */
export function introspection (
  issuer: Issuer,
  rules: TokenRules,
  credentials: Credentials,
  answerMs = DECISION.timeoutMs
): Introspection {
  const questions = new Questions(issuer, answerMs)
  return {
    async ask (token, asker) {
      const endpoint = await issuer.introspection()
      if (endpoint === undefined) return undefined
      const { url, auth } = endpoint
      const { headers, fields } = clientAuth(credentials, auth)
      const { status, json } = await questions.ask(
        asker,
        url,
        form({ token, token_type_hint: 'access_token', ...fields }, headers)
      )
      // Servers differ in how they say that something is no token of theirs.
      if (status === 400 && typeof json.error === 'string' && ABOUT_THE_TOKEN.has(json.error)) {
        return { refused: 'not active' }
      }
      // 401 here is about us, not about the token: our own credentials are wrong.
      if (status !== 200) throw new Unreachable(`POST ${url}: status ${status}${errorOf(json)}`)
      return judgeIntrospection(json, issuer.name, rules, Date.now())
    }
  }
}

/** Ask a `tokeninfo` endpoint: the token in the body, never in the query, which ends up in logs. */
export function tokenInfo (
  issuer: Issuer,
  rules: TokenRules,
  url: string,
  answerMs = DECISION.timeoutMs
): Introspection {
  const questions = new Questions(issuer, answerMs)
  return {
    async ask (token, asker) {
      const { status, json } = await questions.ask(asker, url, form({ access_token: token }, {}))
      if (status === 400 || status === 401) return { refused: 'not active' }
      if (status !== 200) throw new Unreachable(`POST ${url}: status ${status}${errorOf(json)}`)
      return judgeTokenInfo(json, issuer.name, rules, Date.now())
    }
  }
}

/** All addresses with failures hold places together. */
const FAILED = 'failed'

/** Questions to one server: bounded by address, and few while it is in trouble. */
class Questions {
  readonly #places = new Places()
  readonly #guard: CallGuard
  readonly #bounds: Bounds

  constructor (issuer: Issuer, answerMs: number) {
    this.#guard = new CallGuard({
      what: issuer.name, maxUnderWay: MAX_UNDER_WAY, maxFailures: MAX_FAILURES, pauseMs: PAUSE_MS
    })
    this.#bounds = { ...DECISION, timeoutMs: answerMs }
  }

  /** @throws {Unreachable} that the server itself failed counts as no answer */
  async ask ({ address, standing }: Asker, url: string, body: BoundedRequest): Promise<BoundedResponse> {
    const group = addressGroup(address)
    if (this.#places.of(group) >= MAX_OF_ADDRESS) throw new Unreachable('too many questions are under way already')
    if (standing !== undefined && this.#places.of(FAILED) >= MAX_OF_FAILED) {
      throw new Unreachable('too many questions are under way for addresses with failures')
    }
    const holder = standing === undefined ? group : FAILED
    this.#places.take(holder)
    try {
      return await this.#guard.run(async () => {
        const answer = await askJson(url, body, this.#bounds)
        if (answer.status >= 500) throw new Unreachable(`POST ${url}: status ${answer.status}${errorOf(answer.json)}`)
        return answer
      })
    } finally {
      this.#places.leave(holder)
    }
  }
}

function form (fields: Readonly<Record<string, string>>, headers: Readonly<Record<string, string>>) {
  return {
    method: 'POST' as const,
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    body: new URLSearchParams(fields).toString()
  }
}

/** RFC 6749 §2.3.1: both parts are form-encoded before they are joined. */
function clientAuth (
  { id, secret }: Credentials,
  how: 'basic' | 'post'
): { headers: Record<string, string>; fields: Record<string, string> } {
  if (secret === undefined) return { headers: {}, fields: { client_id: id } }
  if (how === 'post') return { headers: {}, fields: { client_id: id, client_secret: secret } }
  const encoded = (text: string) => new URLSearchParams({ '': text }).toString().slice(1)
  return {
    headers: { authorization: `Basic ${Buffer.from(`${encoded(id)}:${encoded(secret)}`).toString('base64')}` },
    fields: {}
  }
}
