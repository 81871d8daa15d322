/** What is decided of a message once its body is known, however it came. */
import { PROTOCOL_VERSION_META_KEY } from '@modelcontextprotocol/server'
import type { Caller } from '../auth/chain.ts'
import { insufficientScope } from '../auth/scopes.ts'
import { rateLimited, type RateLimit, type RateLimitResult } from '../core/limit.ts'
import { paramHeaderFault } from '../core/param-headers.ts'
import { mayUse } from '../core/permissions.ts'
import { AppError } from '../errors.ts'
import type { Store } from '../state/store.ts'
import type { Catalogue } from '../tools/catalogue.ts'
import { targetOf } from './target.ts'

/** A parsed JSON-RPC message; its form is checked by what serves it. */
export interface Message {
  readonly jsonrpc?: unknown
  readonly id?: unknown
  readonly method?: unknown
  readonly params?: unknown
}

type Headers = Readonly<Record<string, unknown>>

/**
 * Decide what depends on the message itself, before it is served: the scopes
 * it needs, whether headers that repeat its arguments agree with them, and
 * what its tool costs beyond the one that every request counts.
 *
 * @param headers of the request, in lower case; undefined where there are none
 * @returns the caller's count afterwards
 * @throws {AppError} INSUFFICIENT_SCOPE, HEADER_MISMATCH, RATE_LIMITED, STATE_UNAVAILABLE
 */
export async function admitMessage (catalogue: Catalogue, store: Store, { method, params }: Message, caller: Caller, headers?: Headers): Promise<RateLimitResult> {
  const target = typeof method === 'string' ? targetOf(method, params) : undefined
  if (target === undefined) return caller.rateLimit
  const { principal } = caller
  if (principal.authType === 'oauth2' && !mayUse(principal, target.kind, target.name)) {
    throw insufficientScope(caller, target.kind, target.name)
  }
  const offered = method === 'tools/call' ? catalogue.tools.get(target.name) : undefined
  // To those who may not use it, the tool is one that is not there.
  if (offered !== undefined && headers !== undefined && isModern(params) && mayUse(principal, 'tool', target.name)) {
    const fault = paramHeaderFault(offered.headers, (params as { arguments?: unknown }).arguments, headers)
    if (fault !== undefined) throw new AppError('HEADER_MISMATCH', fault.message, { data: { header: fault.header } })
  }
  return offered === undefined || (offered.cost === 1 && offered.tool.rate === undefined)
    ? caller.rateLimit
    : await charge(store, caller, target.name, offered.cost, offered.tool.rate)
}

/** Whether the message claims a revision that has such headers: the older ones claim theirs in the header only. */
function isModern (params: unknown): boolean {
  const meta = (params as { _meta?: unknown })._meta
  return typeof meta === 'object' && meta !== null && Object.hasOwn(meta, PROTOCOL_VERSION_META_KEY)
}

/**
 * Count what a call costs beyond the one that every request counts, and its
 * tool's own window. All of it is counted or none of it.
 *
 * @throws {AppError} RATE_LIMITED
 */
async function charge (store: Store, { subject, rule, rateLimit: verdict }: Caller, tool: string, cost: number, rate: RateLimit | undefined): Promise<RateLimitResult> {
  const own = rate === undefined ? undefined : await store.hit(subject, rate, { tool })
  if (own !== undefined && !own.allowed) {
    await store.giveBack(subject, verdict.slice)
    throw rateLimited(own)
  }
  if (cost === 1) return verdict
  const rest = await store.hit(subject, rule, { cost: cost - 1 })
  if (rest.allowed) return rest
  await store.giveBack(subject, verdict.slice)
  if (own !== undefined) await store.giveBack(subject, own.slice, { tool })
  throw rateLimited(rest)
}
