/** What a call costs beyond the one unit that every request counts. */
import type { Caller } from '../auth/chain.ts'
import { countIn, foresee, foreseeIn, giveBackIn, type Counters } from '../auth/counters.ts'
import type { RateLimitResult } from '../core/limit.ts'
import type { Target } from '../core/permissions.ts'
import type { Store } from '../state/store.ts'
import type { OfferedTool } from '../tools/catalogue.ts'
import { judgeLimit, type Refusal } from './layers.ts'

/** Who is charged, and where. */
export interface Charged {
  readonly store: Store
  readonly caller: Caller
  /** Told of the count that the answer's headers name. */
  onCounted (result: RateLimitResult): void
}

/**
 * Count the rest of a tool's cost and its own window. All of it is counted or
 * none of it: what a refusal leaves is given back, the first unit too. A
 * tool's own window is the subject's, whatever client it uses.
 *
 * @throws {AppError} STATE_UNAVAILABLE
 */
export async function charge (
  { store, caller, onCounted }: Charged, { cost, tool: { rate } }: OfferedTool, { name: tool }: Target
): Promise<Refusal | undefined> {
  const subject = caller.shared?.subject ?? caller.subject
  const own = rate === undefined ? undefined : await store.hit(subject, rate, { tool })
  if (own !== undefined && !own.allowed) {
    await giveBackIn(store, caller, caller.rateLimit, 1)
    return judgeLimit(own, 'rate of the tool', 'cost')
  }
  if (cost === 1) return undefined
  const rest = await countIn(store, caller, cost - 1)
  if (rest.allowed) {
    onCounted(rest)
    return undefined
  }
  await giveBackIn(store, caller, caller.rateLimit, 1)
  if (own !== undefined) await store.giveBack(subject, own.slice, { tool })
  return judgeLimit(rest, 'limit with the cost of the tool', 'cost')
}

/** What the charge would refuse now, of a request whose first unit is not counted. Nothing is counted. */
export async function foreseeCharge (
  store: Store, counters: Counters, { cost, tool: { rate } }: OfferedTool, { name: tool }: Target
): Promise<Refusal | undefined> {
  const subject = counters.shared?.subject ?? counters.subject
  const own = rate === undefined
    ? undefined
    : judgeLimit(await foresee(store, { subject, rule: rate }, 1, tool), 'rate of the tool', 'cost')
  if (own !== undefined || cost === 1) return own
  return judgeLimit(await foreseeIn(store, counters, cost), 'limit with the cost of the tool', 'cost')
}
