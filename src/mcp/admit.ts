/** What is decided of a message once its body is known, however it came. */
import type { Caller } from '../auth/chain.ts'
import { insufficientScope } from '../auth/scopes.ts'
import { rateLimited, type Rule, type Verdict } from '../core/limit.ts'
import { mayUse } from '../core/permissions.ts'
import type { Store } from '../state/store.ts'
import type { Catalogue } from '../tools/catalogue.ts'
import { targetOf } from './target.ts'

/** A parsed JSON-RPC message; its form is checked by what serves it. */
export interface Message {
  readonly id?: unknown
  readonly method?: unknown
  readonly params?: unknown
}

/**
 * Decide what depends on the message itself, before it is served: the scopes
 * it needs, and what its tool costs beyond the one that every request counts.
 *
 * @returns the caller's count afterwards
 * @throws {AppError} INSUFFICIENT_SCOPE, RATE_LIMITED, STATE_UNAVAILABLE
 */
export async function admitMessage (catalogue: Catalogue, store: Store, { method, params }: Message, caller: Caller): Promise<Verdict> {
  const target = typeof method === 'string' ? targetOf(method, params) : undefined
  if (target === undefined) return caller.verdict
  const { principal } = caller
  if (principal.authType === 'oauth2' && !mayUse(principal, target.kind, target.name)) {
    throw insufficientScope(caller, target.kind, target.name)
  }
  const offered = method === 'tools/call' ? catalogue.tools.get(target.name) : undefined
  return offered === undefined || (offered.cost === 1 && offered.tool.rate === undefined)
    ? caller.verdict
    : await charge(store, caller, target.name, offered.cost, offered.tool.rate)
}

/**
 * Count what a call costs beyond the one that every request counts, and its
 * tool's own window. All of it is counted or none of it.
 *
 * @throws {AppError} RATE_LIMITED
 */
async function charge (store: Store, { subject, rule, verdict }: Caller, tool: string, cost: number, rate: Rule | undefined): Promise<Verdict> {
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
