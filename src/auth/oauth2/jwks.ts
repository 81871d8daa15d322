/** The public keys of an authorization server (RFC 7517), held so that its troubles are not ours. */
import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import { RefreshingCache, type RefreshPolicy } from '../../resilience/refreshing-cache.ts'
import { Unreachable } from '../../resilience/unreachable.ts'
import type { BoundedResponse } from './bounded-fetch.ts'

/**
 * Five minutes at most until a key that was taken away is dead here:
 * four minutes, an eighth of jitter, and the fetch. However many unknown keys
 * are asked for, the gap and the budget of the issuer bound the fetches.
 */
export const JWKS_POLICY: RefreshPolicy = {
  everyMs: 240_000, retryMs: 30_000, gapMs: 15_000, staleMs: 86_400_000, waitMs: 1000
}

/** A key and what it may verify. The PEM is one buffer for its whole life: the verifier knows it by identity. */
export interface PublicKey {
  /** Undefined for a key without a name (RFC 7517 §4.5 makes it optional). */
  readonly kid: string | undefined
  readonly pem: Buffer
  readonly algorithms: readonly string[]
}

/** At most one key for a name and an algorithm: some servers name two keys alike. */
export type KeySet = readonly PublicKey[]

export type Found = { readonly key: PublicKey } | { readonly missing: string }

export interface JwksOptions {
  /** A GET of the set. */
  ask: (url: string) => Promise<BoundedResponse>
  /** Where the set stands; looked up at each fetch, so that it may move. */
  uri: () => Promise<string | undefined>
  policy?: RefreshPolicy
  onState?: (trouble: Error | undefined) => void
}

export class Jwks {
  readonly #ask: JwksOptions['ask']
  readonly #uri: JwksOptions['uri']
  readonly #keys: RefreshingCache<KeySet>
  #generation = 0
  #digest = ''

  constructor ({ ask, uri, policy = JWKS_POLICY, onState }: JwksOptions) {
    this.#ask = ask
    this.#uri = uri
    this.#keys = new RefreshingCache({
      policy, fetch: () => this.#fetch(), ...(onState === undefined ? {} : { onState })
    })
  }

  /**
   * The key for a token's header. What is not in the set has it fetched again,
   * unless that was done a moment ago.
   *
   * @param kid undefined where the token names none: the only key for the algorithm is then the one
   * @throws {Unreachable} if the server cannot be asked about what is not known here
   */
  async find (kid: string | undefined, alg: string): Promise<Found> {
    const known = keyFor(await this.#keys.get(), kid, alg)
    if ('key' in known) return known
    const fresh = await this.#keys.refresh()
    const found = keyFor(await this.#keys.get(), kid, alg)
    if ('missing' in found && !fresh) {
      throw new Unreachable(`${found.missing}, and the authorization server does not answer`)
    }
    return found
  }

  /**
   * Fetch the set anew, unless that was done a moment ago: a signature did not
   * fit, and the key may have changed under its name.
   *
   * @returns whether the set is another one now
   */
  async renew (): Promise<boolean> {
    const before = this.#generation
    await this.#keys.refresh()
    return this.#generation !== before
  }

  /** Grows with each change of the set: what was verified before may not hold any more. */
  get generation (): number { return this.#generation }

  /** The metadata says where the set stands: fetch it if there is none yet. */
  refreshNow (): void { this.#keys.refreshNow() }

  /** How many keys of the set can verify one of these algorithms. @throws {Unreachable} */
  async usable (algorithms: readonly string[]): Promise<number> {
    const set = await this.#keys.get()
    return set.filter(key => key.algorithms.some(algorithm => algorithms.includes(algorithm))).length
  }

  /** How old the set is, ms; undefined before the first. */
  get ageMs (): number | undefined { return this.#keys.ageMs }
  get inTrouble (): boolean { return this.#keys.inTrouble }

  close (): void { this.#keys.close() }

  async #fetch (): Promise<KeySet> {
    const url = await this.#uri()
    if (url === undefined) {
      throw new Unreachable('the metadata names no jwks_uri that may be asked; OAUTH2_JWKS_URL can name it')
    }
    const { status, json } = await this.#ask(url)
    if (status !== 200 || !Array.isArray(json.keys)) throw new Unreachable(`GET ${url}: status ${status}, no key set`)
    const set = readKeySet(json.keys)
    const digest = set
      .map(({ kid, pem, algorithms }) => JSON.stringify([kid, algorithms, pem.toString()]))
      .sort()
      .join()
    if (digest !== this.#digest) this.#generation++
    this.#digest = digest
    return set
  }
}

/** The key of that name for that algorithm; without a name the only one for the algorithm. */
export function keyFor (set: KeySet, kid: string | undefined, alg: string): Found {
  const usable = set.filter(key => key.algorithms.includes(alg) && (kid === undefined || key.kid === kid))
  if (usable.length === 1) return { key: usable[0]! }
  if (kid === undefined) return { missing: `kid is missing, and ${usable.length} keys fit alg ${alg}` }
  const same = set.filter(key => key.kid === kid).flatMap(({ algorithms }) => algorithms)
  return {
    missing: same.length === 0 ? 'kid is not known' : `the key of this kid is for ${same.join(', ')}, not for ${alg}`
  }
}

const MAX_KEYS = 100
const MAX_NAME = 256
/** Curve → the algorithms that go with it (RFC 7518 §3.4, RFC 8037 §3.1, RFC 9864 §2.2). */
const CURVES: Readonly<Record<string, readonly string[]>> = {
  'P-256': ['ES256'], 'P-384': ['ES384'], 'P-521': ['ES512']
}
const ED25519 = ['EdDSA', 'Ed25519']
const RSA = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']

type Jwk = JsonWebKey & { kid?: unknown, use?: unknown, alg?: unknown, key_ops?: unknown }

/** The keys of a set that can verify tokens; what is private, symmetric, weak or for encryption is left out. */
export function readKeySet (list: readonly unknown[]): KeySet {
  const set: PublicKey[] = []
  for (const item of list.slice(0, MAX_KEYS)) {
    const key = readKey(item)
    if (key === undefined) continue
    // The first of a name and an algorithm counts. Keys without a name are told apart by being the only one.
    const algorithms = key.algorithms.filter(
      alg => key.kid === undefined || !set.some(other => other.kid === key.kid && other.algorithms.includes(alg))
    )
    if (algorithms.length > 0) set.push({ ...key, algorithms })
  }
  return set
}

function readKey (item: unknown): PublicKey | undefined {
  if (typeof item !== 'object' || item === null) return undefined
  // Members that are null are absent.
  const jwk: Jwk = Object.fromEntries(Object.entries(item).filter(([, value]) => value !== null))
  const { kid, use, alg, key_ops: operations } = jwk
  if (kid !== undefined && (typeof kid !== 'string' || kid === '' || kid.length > MAX_NAME)) return undefined
  if (use !== undefined && use !== 'sig') return undefined
  if (Array.isArray(operations) && !operations.includes('verify')) return undefined
  const all = algorithmsOf(jwk)
  const algorithms =
    alg === undefined
      ? all
      : all.filter(name => name === alg || (ED25519.includes(name) && ED25519.includes(alg as string)))
  const key = algorithms.length === 0 ? undefined : publicKeyOf(jwk)
  return key === undefined
    ? undefined
    : { kid, algorithms, pem: Buffer.from(key.export({ type: 'spki', format: 'pem' })) }
}

/** What a key of this type can verify; nothing for symmetric ones. */
export function algorithmsOf ({ kty, crv }: JsonWebKey): readonly string[] {
  if (kty === 'RSA') return RSA
  if (kty === 'OKP') return crv === 'Ed25519' ? ED25519 : []
  return kty === 'EC' && crv !== undefined && Object.hasOwn(CURVES, crv) ? CURVES[crv]! : []
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
