/** The public keys of an authorization server (RFC 7517), held so that its troubles are not ours. */
import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import type { BoundedResponse } from './bounded-fetch.ts'
import { Unreachable } from '../../resilience/unreachable.ts'
import { refreshingCache, type RefreshingCache, type RefreshPolicy } from '../../resilience/refreshing-cache.ts'

/**
 * Five minutes at most until a key that was taken away is dead here:
 * four minutes, an eighth of jitter, and the fetch. However many unknown keys
 * are asked for, the gap and the budget of the issuer bound the fetches.
 */
export const JWKS_PACE: RefreshPolicy = { everyMs: 240_000, retryMs: 30_000, gapMs: 15_000, staleMs: 86_400_000, waitMs: 1000 }

/** A key and what it may verify. The PEM is one buffer for its whole life: the verifier knows it by identity. */
export interface PublicKey {
  readonly pem: Buffer
  readonly algorithms: readonly string[]
}

export type KeySet = ReadonlyMap<string, PublicKey>

export interface Jwks {
  /**
   * The key of that name, or undefined if the server does not know it. An
   * unknown name has the set fetched again, unless that was done a moment ago.
   *
   * @throws {Unreachable} if the server cannot be asked about a name that is not known here
   */
  find (kid: string): Promise<PublicKey | undefined>
  /** Grows with each change of the set: what was verified before may not hold any more. */
  readonly generation: number
  /** The metadata says where the set stands: fetch it if there is none yet. */
  refreshNow (): void
  close (): void
}

export interface JwksOptions {
  /** A GET of the set. */
  ask: (url: string) => Promise<BoundedResponse>
  /** Where the set stands; looked up at each fetch, so that it may move. */
  uri: () => Promise<string | undefined>
  pace?: RefreshPolicy
  onState?: (trouble: Error | undefined) => void
}

export function jwks ({ ask, uri, pace = JWKS_PACE, onState }: JwksOptions): Jwks {
  let generation = 0
  let last = ''
  const keys: RefreshingCache<KeySet> = refreshingCache({
    pace,
    ...(onState === undefined ? {} : { onState }),
    async fetch () {
      const url = await uri()
      if (url === undefined) throw new Unreachable('the metadata names no jwks_uri that may be asked')
      const { status, json } = await ask(url)
      if (status !== 200 || !Array.isArray(json.keys)) throw new Unreachable(`GET ${url}: status ${status}, no key set`)
      const set = readKeySet(json.keys)
      const text = [...set].map(([kid, { pem }]) => kid + pem.toString()).sort().join()
      if (text !== last) generation++
      last = text
      return set
    }
  })

  return {
    async find (kid) {
      const known = (await keys.get()).get(kid)
      if (known !== undefined) return known
      const fresh = await keys.refresh()
      const found = (await keys.get()).get(kid)
      if (found === undefined && !fresh) throw new Unreachable('the key is not known and the authorization server does not answer')
      return found
    },
    get generation () { return generation },
    refreshNow: () => keys.refreshNow(),
    close: () => keys.close()
  }
}

const MOST_KEYS = 100
/** Curve → the one algorithm that goes with it (RFC 7518 §3.4, RFC 8037). */
const CURVES: Readonly<Record<string, string>> = { 'P-256': 'ES256', 'P-384': 'ES384', 'P-521': 'ES512', Ed25519: 'EdDSA' }
const RSA = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']

/** The keys of a set that can verify tokens; what is private, symmetric, weak, nameless or for encryption is left out. */
export function readKeySet (list: readonly unknown[]): KeySet {
  const set = new Map<string, PublicKey>()
  for (const item of list.slice(0, MOST_KEYS)) {
    const jwk = (typeof item === 'object' && item !== null ? item : {}) as JsonWebKey & { kid?: unknown, use?: unknown, alg?: unknown, key_ops?: unknown }
    const { kid, use, alg, key_ops: operations } = jwk
    if (typeof kid !== 'string' || kid === '' || kid.length > 256 || set.has(kid)) continue
    if (use !== undefined && use !== 'sig') continue
    if (Array.isArray(operations) && !operations.includes('verify')) continue
    const algorithms = algorithmsOf(jwk).filter(name => alg === undefined || name === alg)
    const key = algorithms.length === 0 ? undefined : publicKeyOf(jwk)
    if (key === undefined) continue
    set.set(kid, { pem: Buffer.from(key.export({ type: 'spki', format: 'pem' })), algorithms })
  }
  return set
}

/** What a key of this type can verify; nothing for symmetric ones. */
export function algorithmsOf ({ kty, crv }: JsonWebKey): string[] {
  if (kty === 'RSA') return RSA
  const algorithm = kty === 'EC' || kty === 'OKP' ? CURVES[crv ?? ''] : undefined
  return algorithm === undefined || (kty === 'OKP') !== (algorithm === 'EdDSA') ? [] : [algorithm]
}

/** The key, or undefined if it is broken, weak, or not public at all. */
export function publicKeyOf (jwk: JsonWebKey): KeyObject | undefined {
  if (jwk.d !== undefined || jwk.k !== undefined) return undefined
  try {
    const key = createPublicKey({ key: jwk, format: 'jwk' })
    const bits = key.asymmetricKeyDetails?.modulusLength
    return bits !== undefined && (bits < 2048 || bits > 8192) ? undefined : key
  } catch {
    return undefined
  }
}
