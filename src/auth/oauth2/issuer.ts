/** One authorization server that is trusted: its name, and what it publishes. */
import { askJson, BOUNDS } from './bounded-fetch.ts'
import { Unreachable } from '../../resilience/unreachable.ts'
import { fetchQuota, MOST_FETCHES } from '../../resilience/fetch-quota.ts'
import { discover, type Metadata } from './discovery.ts'
import { refreshingCache, type RefreshPolicy } from '../../resilience/refreshing-cache.ts'
import { jwks, JWKS_PACE, type Jwks } from './jwks.ts'

/** Metadata hardly ever changes. */
export const METADATA_PACE: RefreshPolicy = { everyMs: 3_600_000, retryMs: 30_000, gapMs: 30_000, staleMs: Infinity, waitMs: 1000 }

export interface Issuer {
  readonly name: string
  /** @throws {Unreachable} */
  metadata (): Promise<Metadata>
  /** As the last metadata said it; undefined before the first, or where it says nothing. */
  readonly scopesSupported: readonly string[] | undefined
  /** Undefined where a secret is configured instead. */
  readonly keys: Jwks | undefined
  close (): void
}

export interface IssuerOptions {
  name: string
  /** False where tokens are verified by a secret, or not here at all. */
  publicKeys: boolean
  metadataPace?: RefreshPolicy
  jwksPace?: RefreshPolicy
  /** Of metadata and keys together, in any minute. */
  mostFetches?: number
  /** How long one fetch may take, ms. */
  answerMs?: number
  /** Told of each change between well and in trouble. */
  onState?: (what: 'metadata' | 'keys', trouble: Error | undefined) => void
}

export function trustedIssuer ({ name, publicKeys, metadataPace = METADATA_PACE, jwksPace = JWKS_PACE, mostFetches = MOST_FETCHES, answerMs = BOUNDS.timeoutMs, onState = () => {} }: IssuerOptions): Issuer {
  const fetches = fetchQuota(mostFetches)
  const ask = async (url: string) => {
    if (!fetches.take(performance.now())) throw new Unreachable(`${new URL(url).origin} was asked ${mostFetches} times within a minute; it is left alone for a while`)
    return await askJson(url, {}, { ...BOUNDS, timeoutMs: answerMs })
  }

  let known: string | undefined
  let scopesSupported: readonly string[] | undefined
  const metadata = refreshingCache({
    pace: metadataPace,
    onState: trouble => onState('metadata', trouble),
    async fetch () {
      // Once found, always there: a server in trouble is asked one thing, not three.
      const { metadata, place } = await discover(name, ask, known === undefined ? undefined : [known])
      known = place
      scopesSupported = metadata.scopesSupported
      setImmediate(() => keys?.refreshNow())
      return metadata
    }
  })
  const keys: Jwks | undefined = publicKeys
    ? jwks({ ask, uri: async () => (await metadata.get()).jwksUri, pace: jwksPace, onState: trouble => onState('keys', trouble) })
    : undefined
  return {
    name,
    metadata: () => metadata.get(),
    get scopesSupported () { return scopesSupported },
    keys,
    close () {
      metadata.close()
      keys?.close()
    }
  }
}
