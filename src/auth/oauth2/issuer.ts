/** One authorization server that is trusted: its name, and what it publishes. */
import { FetchQuota, MAX_FETCHES } from '../../resilience/fetch-quota.ts'
import { RefreshingCache, type RefreshPolicy } from '../../resilience/refreshing-cache.ts'
import { Unreachable } from '../../resilience/unreachable.ts'
import { askJson, BOUNDS, type BoundedResponse } from './bounded-fetch.ts'
import { discover, type Metadata } from './discovery.ts'
import { Jwks, JWKS_POLICY } from './jwks.ts'

/** Metadata hardly ever changes. */
export const METADATA_POLICY: RefreshPolicy = {
  everyMs: 3_600_000, retryMs: 30_000, gapMs: 30_000, staleMs: Infinity, waitMs: 1000
}

/** Of the fetches of a minute, those that the search for metadata leaves to the keys. */
const LEFT_FOR_KEYS = 2

/** Where something stands that discovery does not find; from the settings. */
export interface IssuerUrls {
  readonly metadata?: string | undefined
  readonly jwks?: string | undefined
  readonly introspection?: string | undefined
}

export interface IssuerOptions {
  name: string
  urls?: IssuerUrls
  /** False where tokens are verified by a secret, or not here at all. */
  publicKeys: boolean
  metadataPolicy?: RefreshPolicy
  jwksPolicy?: RefreshPolicy
  /** Of metadata and keys together, in any minute. */
  maxFetches?: number
  /** How long one fetch may take, ms. */
  answerMs?: number
  /** Told of each change between well and in trouble. */
  onState?: (what: 'metadata' | 'keys', trouble: Error | undefined) => void
}

export class Issuer {
  readonly name: string
  /** Undefined where a secret is configured instead, or tokens are not verified here. */
  readonly keys: Jwks | undefined
  readonly #urls: IssuerUrls
  readonly #answerMs: number
  readonly #maxFetches: number
  readonly #fetches: FetchQuota
  readonly #metadata: RefreshingCache<Metadata>
  /** The last metadata, however old. */
  #last: Metadata | undefined
  /** Where it was found. A server in trouble is asked one thing, not three. */
  #place: string | undefined

  constructor ({
    name, urls = {}, publicKeys, metadataPolicy = METADATA_POLICY, jwksPolicy = JWKS_POLICY, maxFetches = MAX_FETCHES,
    answerMs = BOUNDS.timeoutMs, onState = () => {}
  }: IssuerOptions) {
    this.name = name
    this.#urls = urls
    this.#answerMs = answerMs
    this.#maxFetches = maxFetches
    this.#fetches = new FetchQuota(maxFetches)
    this.#place = urls.metadata
    this.#metadata = new RefreshingCache({
      policy: metadataPolicy, onState: trouble => onState('metadata', trouble), fetch: () => this.#fetchMetadata()
    })
    this.keys = publicKeys
      ? new Jwks({
        ask: url => this.#ask(url),
        uri: async () => urls.jwks ?? (await this.metadata()).jwksUri,
        policy: jwksPolicy,
        onState: trouble => onState('keys', trouble)
      })
      : undefined
  }

  /** @throws {Unreachable} */
  async metadata (): Promise<Metadata> {
    return await this.#metadata.get()
  }

  /**
   * Where to ask about tokens, and how this client says who it is.
   *
   * @returns undefined if the server offers no such thing
   * @throws {Unreachable}
   */
  async introspection (): Promise<{ url: string; auth: 'basic' | 'post' } | undefined> {
    const configured = this.#urls.introspection
    if (configured !== undefined) return { url: configured, auth: this.#last?.introspectionAuth ?? 'basic' }
    const { introspectionEndpoint: url, introspectionAuth: auth } = await this.metadata()
    return url === undefined ? undefined : { url, auth }
  }

  /** As the last metadata said it; undefined before the first, or where it says nothing. */
  get scopesSupported (): readonly string[] | undefined {
    return this.#last?.scopesSupported
  }

  /** Where its metadata was found last. */
  get metadataUrl (): string | undefined {
    return this.#last === undefined ? undefined : this.#place
  }

  /** Whether it answered the last time that it was asked for metadata and keys. */
  get up (): boolean {
    return !this.#metadata.inTrouble && this.keys?.inTrouble !== true
  }

  close (): void {
    this.#metadata.close()
    this.keys?.close()
  }

  async #ask (url: string, left = 0): Promise<BoundedResponse> {
    if (!this.#fetches.take(performance.now(), left)) {
      throw new Unreachable(
        `${new URL(url).origin} was asked ${this.#maxFetches} times within a minute; it is left alone for a while`,
        { final: true }
      )
    }
    return await askJson(url, {}, { ...BOUNDS, timeoutMs: this.#answerMs })
  }

  async #fetchMetadata (): Promise<Metadata> {
    let gone = false
    const ask = async (url: string) => {
      const answer = await this.#ask(url, LEFT_FOR_KEYS)
      gone = answer.status !== 200 && answer.status < 500
      return answer
    }
    try {
      const { metadata, place } = await discover(this.name, ask, this.#place === undefined ? undefined : [this.#place])
      this.#place = place
      this.#last = metadata
    } catch (error) {
      // It moved: all places are looked at the next time.
      if (gone) this.#place = this.#urls.metadata
      throw error
    }
    setImmediate(() => this.keys?.refreshNow())
    return this.#last
  }
}
