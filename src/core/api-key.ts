/**
 * API keys: their form, what is stored of them, and whether one may be used
 * now. `mcpk_<id>_<secret>_<checksum>`: a public id, 32 random bytes, and a
 * checksum that lets scanners find leaks and a mistyped key be refused without
 * a look-up. For secret scanners: `mcpk_[a-z0-9]{10}_[A-Za-z0-9_-]{43}_[a-z0-9]{7}`.
 */
import { hash, randomBytes, randomInt } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { XStatic } from 'typebox/schema'
import { addressSet, type AddressSet } from './address.ts'
import type { RateLimit } from './limit.ts'
import { PERMISSION_PATTERN } from './permissions.ts'

const FORM = /^mcpk_([a-z0-9]{10})_([A-Za-z0-9_-]{43})_([a-z0-9]{7})$/
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789'

const Hash = { type: 'string', pattern: '^[0-9a-f]{64}$' } as const
const Time = { type: 'integer', minimum: 0 } as const

/** What is kept of a key. Times are ms since the epoch. */
export const ApiKeyRecord = {
  type: 'object',
  properties: {
    id: { type: 'string', pattern: '^[A-Za-z0-9_-]{1,64}$' },
    name: { type: 'string', minLength: 1, maxLength: 128 },
    owner: { type: 'string', maxLength: 256 },
    role: { enum: ['caller', 'operator'] },
    permissions: { type: 'array', items: { type: 'string', pattern: PERMISSION_PATTERN }, maxItems: 256 },
    /** SHA-256 of the whole key, hex. */
    hash: Hash,
    created: Time,
    expires: Time,
    /** Addresses the key may be used from; absent means from anywhere. */
    cidrs: { type: 'array', items: { type: 'string', maxLength: 64 }, maxItems: 64 },
    /** Requests per window instead of the class's limit. */
    limit: { type: 'integer', minimum: 1, maximum: 1_000_000_000 },
    /** The key before the last rotation, accepted until `until`. */
    previous: {
      type: 'object',
      properties: { hash: Hash, until: Time },
      required: ['hash', 'until'],
      additionalProperties: false
    },
    /** Coarse: written at most once a minute. */
    lastUsed: Time,
    revoked: Time
  },
  required: ['id', 'name', 'role', 'permissions', 'hash', 'created'],
  additionalProperties: false
} as const

export type ApiKeyRecord = XStatic<typeof ApiKeyRecord>

/** Plain keys shorter than this are found by trying; up to the second length they go on with a warning. Characters. */
export const MIN_PLAIN_KEY_LENGTH = 20
export const SAFE_PLAIN_KEY_LENGTH = 25

/** A new key and its id. The key is shown once and never stored. */
export function makeKey (): { id: string, key: string } {
  const id = Array.from({ length: 10 }, () => ALPHABET[randomInt(ALPHABET.length)]).join('')
  return { id, key: keyFor(id) }
}

/** A new secret for an id that exists: a rotation. */
export function keyFor (id: string): string {
  const head = `mcpk_${id}_${randomBytes(32).toString('base64url')}`
  return `${head}_${checksum(head)}`
}

/**
 * Whether a presented value can be a key at all: one of our form with a right
 * checksum, or a plain value of another form. Garbage costs no look-up.
 */
export function wellFormed (key: string): boolean {
  if (!key.startsWith('mcpk_')) return true
  const match = FORM.exec(key)
  return match !== null && checksum(key.slice(0, -8)) === match[3]
}

/** The public id that a made key holds; undefined for a plain value. */
export function idIn (key: string): string | undefined {
  return FORM.exec(key)?.[1]
}

/**
 * The key that the environment names. It stands for itself only where no store
 * knows it: a key that was restricted, rotated or revoked stays what its record
 * says, however it is presented.
 */
export interface EnvironmentKey {
  readonly record: ApiKeyRecord
  /** The id inside a made key: a store that knows it has rotated the key away, or knows the key itself. */
  readonly madeAs: string | undefined
}

export function environmentKey (key: string): EnvironmentKey {
  return {
    record: { id: 'default', name: 'default', role: 'caller', permissions: ['*'], hash: hashKey(key), created: 0 },
    madeAs: idIn(key)
  }
}

/** SHA-256 of the whole key, hex: the secret is long and random, so a slow hash would buy nothing. */
export function hashKey (key: string): string {
  return hash('sha256', key, 'hex')
}

export type KeyVerdict = 'valid' | 'revoked' | 'expired' | 'wrong_address'

/**
 * Whether a stored key may be used now, from this address.
 *
 * @param hash the hash presented, which may be that of the previous key
 * @param now ms since the epoch
 */
export function judgeKey (record: ApiKeyRecord, hash: string, address: string, now: number): KeyVerdict {
  if (record.revoked !== undefined) return 'revoked'
  if (record.expires !== undefined && now >= record.expires) return 'expired'
  if (hash !== record.hash && !(record.previous?.hash === hash && now < record.previous.until)) return 'expired'
  if (record.cidrs !== undefined && !rangesOf(record.cidrs).has(address)) return 'wrong_address'
  return 'valid'
}

/**
 * Whether presenting this key counts at once: an address has to be judged
 * first, and what is revoked or over counts for nothing.
 */
export function countsAtOnce (record: ApiKeyRecord, hash: string, now: number): boolean {
  return record.cidrs === undefined && judgeKey(record, hash, '', now) === 'valid'
}

/** The key's own limit, in the window of its class. */
export function ruleOf ({ limit }: ApiKeyRecord, { limit: ofClass, windowMs }: RateLimit): RateLimit {
  return limit === undefined ? { limit: ofClass, windowMs } : { limit, windowMs, of: 'key' }
}

export function byName (a: ApiKeyRecord, b: ApiKeyRecord): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : a.created - b.created
}

function checksum (text: string): string {
  return crc32(text).toString(36).padStart(7, '0')
}

/** Made once for each record that a store holds, not at each request. */
const made = new WeakMap<readonly string[], AddressSet>()

function rangesOf (cidrs: readonly string[]): AddressSet {
  const known = made.get(cidrs) ?? addressSet(cidrs)
  made.set(cidrs, known)
  return known
}
