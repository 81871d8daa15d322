/** The outside of a JWT, before anything about it is believed. Nothing is verified here. */
import { RecentSet } from './recent-set.ts'

export interface JwtForm {
  readonly header: Readonly<Record<string, unknown>>
  readonly claims: Readonly<Record<string, unknown>>
  /** What the signature is over. */
  readonly signed: string
  readonly signature: Buffer
}

/**
 * The parts of a compact JWS (RFC 7515 §7.1), or undefined if it is none.
 * Each segment must be the one way to write its bytes: the spare bits of the
 * last letter would else give one token many spellings, and a token that is
 * known by its hash could be spelled anew.
 */
export function readJwtForm (token: string): JwtForm | undefined {
  const parts = token.split('.', 4)
  if (parts.length !== 3) return undefined
  const [head, body, tail] = parts.map(bytesOf)
  if (head === undefined || body === undefined || tail === undefined) return undefined
  const header = objectOf(head)
  const claims = objectOf(body)
  if (header === undefined || claims === undefined) return undefined
  return { header, claims, signed: token.slice(0, token.lastIndexOf('.')), signature: tail }
}

/** Three parts with dots, the first of which can be a JSON object. Everything else is opaque. */
export function looksLikeJwt (token: string): boolean {
  if (!token.startsWith('eyJ')) return false
  const second = token.indexOf('.', token.indexOf('.') + 1)
  return second > 0 && token.indexOf('.', second + 1) < 0
}

/** Heads that were read: all tokens of one signing key have the same. */
const heads = new RecentSet(64)
/** A longer one is read each time it comes. */
const MAX_HEAD = 1024

/** Whether it has the head of a JWT: what a plain API key with dots never has, however it begins. */
export function hasJwtHeader (token: string): boolean {
  if (!looksLikeJwt(token)) return false
  const head = token.slice(0, token.indexOf('.'))
  if (heads.has(head)) return true
  const bytes = bytesOf(head)
  if (bytes === undefined || typeof objectOf(bytes)?.alg !== 'string') return false
  if (head.length <= MAX_HEAD) heads.add(head)
  return true
}

function bytesOf (segment: string): Buffer | undefined {
  const bytes = Buffer.from(segment, 'base64url')
  return bytes.toString('base64url') === segment ? bytes : undefined
}

function objectOf (bytes: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'))
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}
