/** What a call costs beyond the one unit that every request counts. */
import type { Caller } from '../auth/chain.ts'
import type { RateLimitResult } from '../core/limit.ts'
import type { Target } from '../core/permissions.ts'
import type { Store } from '../state/store.ts'
import type { OfferedTool } from '../tools/catalogue.ts'
import { judgeLimit, type Refusal } from './layers.ts'

/**
 * Count the rest of a tool's cost and its own window. All of it is counted or
 * none of it: what a refusal leaves is given back, the first unit too.
 *
 * @param onCounted told of the count that the answer's headers name
 * @throws {AppError} STATE_UNAVAILABLE
 */
export async function charge (
  store: Store, { subject, rule, rateLimit }: Caller, { cost, tool: { rate } }: OfferedTool, { name: tool }: Target, onCounted: (result: RateLimitResult) => void
): Promise<Refusal | undefined> {
  const own = rate === undefined ? undefined : await store.hit(subject, rate, { tool })
  if (own !== undefined && !own.allowed) {
    await store.giveBack(subject, rateLimit.slice)
    return judgeLimit(own, 'rate of the tool', 'cost')
  }
  if (cost === 1) return undefined
  const rest = await store.hit(subject, rule, { cost: cost - 1 })
  if (rest.allowed) {
    onCounted(rest)
    return undefined
  }
  await store.giveBack(subject, rateLimit.slice)
  if (own !== undefined) await store.giveBack(subject, own.slice, { tool })
  return judgeLimit(rest, 'limit with the cost of the tool', 'cost')
}
