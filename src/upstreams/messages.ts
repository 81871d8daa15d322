/**
 * JSON-RPC as an upstream sends it: what a text is, read without trust, and the errors that a question to it may end
 * with.
 */
import type { WireFailure } from './wire.ts'

/** An object of JSON. From a stranger: read members with `Object.hasOwn` in mind, hold each to its type. */
export type Members = Readonly<Record<string, unknown>>

export type Incoming =
  | { readonly kind: 'answer', readonly id: number | undefined, readonly result: Members }
  | { readonly kind: 'error', readonly id: number | undefined, readonly error: UpstreamFault }
  | { readonly kind: 'question', readonly id: string | number, readonly method: string, readonly params: Members }
  | { readonly kind: 'notification', readonly method: string, readonly params: Members }

/** The upstream answered with an error of JSON-RPC. That is an answer: it says nothing about its health. */
export class UpstreamFault extends Error {
  override readonly name = 'UpstreamFault'
  readonly code: number
  readonly data: unknown

  constructor (code: number, message: string, data?: unknown) {
    super(message)
    this.code = code
    this.data = data
  }
}

export type TroubleKind = WireFailure['kind'] | 'late' | 'cancelled' | 'silent'

/** A question came to nothing. The message goes on from "Upstream x" and names no secret. */
export class PeerTrouble extends Error {
  override readonly name = 'PeerTrouble'
  readonly kind: TroubleKind
  /** Whether the question may have reached the upstream. */
  readonly sent: boolean
  readonly status: number | undefined
  /** From `Retry-After`, ms. */
  readonly retryAfterMs: number | undefined

  constructor (kind: TroubleKind, message: string, { sent = true, status, retryAfterMs }: {
    sent?: boolean, status?: number | undefined, retryAfterMs?: number | undefined
  } = {}) {
    super(message)
    this.kind = kind
    this.sent = sent
    this.status = status
    this.retryAfterMs = retryAfterMs
  }
}

export function isMembers (value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A member of an object from elsewhere: its own, never a prototype's. */
export function member (of: Members, name: string): unknown {
  return Object.hasOwn(of, name) ? of[name] : undefined
}

/** An object that stands in a member; an empty one where something else stands there. */
export function membersIn (of: Members, name: string): Members {
  const value = member(of, name)
  return isMembers(value) ? value : {}
}

/**
 * What a value is, as a message of JSON-RPC 2.0. Some servers answer a number with its text, which is taken; an id
 * that is neither answers nothing.
 *
 * @returns undefined for what is no message
 */
export function readIncoming (value: unknown): Incoming | undefined {
  if (!isMembers(value) || member(value, 'jsonrpc') !== '2.0') return undefined
  const id = member(value, 'id')
  const method = member(value, 'method')
  if (typeof method === 'string') {
    const params = membersIn(value, 'params')
    if (id === undefined) return { kind: 'notification', method, params }
    return typeof id === 'string' || typeof id === 'number' ? { kind: 'question', id, method, params } : undefined
  }
  const result = member(value, 'result')
  if (isMembers(result)) return { kind: 'answer', id: idOf(id), result }
  const error = faultOf(member(value, 'error'))
  return error === undefined ? undefined : { kind: 'error', id: idOf(id), error }
}

/** The error of a JSON-RPC error answer; undefined for what is none. */
export function faultOf (error: unknown): UpstreamFault | undefined {
  if (!isMembers(error)) return undefined
  const code = member(error, 'code')
  const message = member(error, 'message')
  return Number.isInteger(code) && typeof message === 'string'
    ? new UpstreamFault(
      code as number, message, member(error, 'data')
    )
    : undefined
}

/** The number that an id spells. */
function idOf (id: unknown): number | undefined {
  if (typeof id === 'number') return id
  return typeof id === 'string' && /^[1-9]\d{0,15}$/.test(id) ? Number(id) : undefined
}
