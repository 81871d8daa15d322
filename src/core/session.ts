/**
 * What can be said of a session of the older revisions without looking it up: whose it may be, and whether
 * its id is ours.
 */
import { createHash, createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto'

export interface SessionIds {
  /** An id nobody can guess, for this owner only. */
  make (owner: string): string
  /** Whether this id was made here, for this owner. Costs no look-up. */
  fits (id: string, owner: string): boolean
}

/** Eighteen random bytes, a dot, and sixteen bytes that sign them. */
const FORM = /^[A-Za-z0-9_-]{24}\.[A-Za-z0-9_-]{22}$/

/** @param secrets the first signs, each of them is accepted */
export function sessionIds (secrets: readonly string[]): SessionIds {
  const keys = secrets.map(secret => Buffer.from(hkdfSync('sha256', secret, '', 'secure-mcp session id', 32)))
  const sign = (key: Buffer, random: string, owner: string) =>
    createHmac('sha256', key).update(JSON.stringify([random, owner])).digest().subarray(0, 16)
  return {
    make (owner) {
      const random = randomBytes(18).toString('base64url')
      return `${random}.${sign(keys[0]!, random, owner).toString('base64url')}`
    },
    fits (id, owner) {
      if (!FORM.test(id)) return false
      const random = id.slice(0, 24)
      const signature = Buffer.from(id.slice(25), 'base64url')
      return keys.some(key => timingSafeEqual(sign(key, random, owner), signature))
    }
  }
}

/**
 * Who a session belongs to: the principal, at one endpoint. A digest, because
 * it stands in the names of keys and a principal's id may hold anything.
 */
export function sessionOwner (principalId: string, mount: string): string {
  return createHash('sha256').update(JSON.stringify([principalId, mount])).digest('base64url').slice(0, 22)
}

/** How long sessions live and how many there may be. */
export interface SessionRule {
  /** ms without use after which a session is gone. */
  readonly idleMs: number
  /** ms after which it is gone however much it is used. */
  readonly maxMs: number
  /** Of one owner at once. */
  readonly maxOfOwner: number
  /** Of all owners together. */
  readonly maxTotal: number
  /**
   * A digest whose sessions are held to `maxOfOwner`, too, whatever owners it has: an OAuth2 subject makes
   * clients at will.
   */
  readonly holder?: string | undefined
}
