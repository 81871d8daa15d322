/** Asks for the decision of one message, however it came. */
import type { Caller } from '../auth/chain.ts'
import { spelled, type Target } from '../core/permissions.ts'
import { charge } from '../decision/charge.ts'
import { decide, NOTHING_NAMED, type Decision } from '../decision/decide.ts'
import type { HeadersOfMessage, Inspection, Refusal } from '../decision/layers.ts'
import type { Trace } from '../decision/trace.ts'
import type { Log } from '../telemetry/log.ts'
import { redact } from '../telemetry/redact.ts'
import type { Store } from '../state/store.ts'
import type { Offer } from '../tools/offer.ts'
import type { McpMessage } from './message.ts'
import { knownMethod, targetOf } from './methods.ts'
import { raiseAtOnce } from './refusals.ts'

export interface AdmitOptions {
  readonly offer: Offer
  readonly store: Store
  readonly inspection: Inspection
}

/** Who sends a message, and where what is decided of it is written. */
export interface Sender {
  readonly caller: Caller
  readonly trace: Trace
  readonly log: Log
}

/**
 * Decide a message, and count what it costs. Refusals that are no answer of a
 * handler are thrown at once; the others are answered where the message would
 * have run (refusals.ts).
 *
 * @param headers of the request, in lower case; undefined where there are none
 * @throws {AppError} INSUFFICIENT_SCOPE, HEADER_MISMATCH, RATE_LIMITED, STATE_UNAVAILABLE
 */
export function admitMessage (
  { offer, store, inspection }: AdmitOptions,
  message: McpMessage,
  sender: Sender,
  headers?: HeadersOfMessage
): Decision | Promise<Decision> {
  if (message.kind !== 'request' || message.target === undefined) return NOTHING_NAMED
  const { caller } = sender
  const { method, target, params, era } = message
  const args = method === 'completion/complete' ? completing(params) : params.arguments
  sender.trace.args = args
  const decision = decide(
    {
      principal: caller.principal, method, target, args, headers: era === 'modern' ? headers : undefined
    },
    {
      catalogue: offer.current,
      inspection,
      charge: (tool, target) =>
        charge(
          {
            store,
            caller,
            onCounted (counted) {
              sender.trace.limit = counted
            }
          },
          tool,
          target
        )
    }
  )
  return decision instanceof Promise
    ? decision.then(decided => settled(decided, sender, offer))
    : settled(decision, sender, offer)
}

/** One line of the log for words that look like an attack, refused or only observed. */
export function tellSuspicion (
  { target, data }: Refusal,
  { caller, log, blocked }: { caller: { principal: { id: string } }; log: Log; blocked: boolean }
): void {
  log.warn({ tool: target?.name, ...data, principal: caller.principal.id, blocked }, 'suspicious argument')
}

/** What is completed, and what it is completed beside, by the names of the arguments. */
function completing ({
  argument, context
}: {
  readonly argument?: { name?: string; value?: string }
  readonly context?: { arguments?: object }
}): unknown {
  return { ...context?.arguments, [argument!.name!]: argument!.value }
}

/** Note what a message asks for: also where its form is refused. @param body what JSON.parse gave */
export function noteMessage (trace: Trace, body: unknown): void {
  const { method, params } = (body ?? {}) as { method?: unknown, params?: unknown }
  if (typeof method !== 'string') return
  const target = targetOf(method, params)
  trace.method = knownMethod(method)
  trace.target = target === undefined ? undefined : shown(target)
}

function settled (decision: Decision, { caller, trace, log }: Sender, offer: Offer): Decision {
  trace.cost = costOf(decision, offer)
  if (decision.outcome === 'allow' && decision.observed !== undefined) {
    const { reason, rule } = decision.observed
    trace.observe({ policy: 'inspection', reason, rule })
  }
  const suspicious =
    decision.outcome === 'allow' ? decision.observed : decision.layer === 'inspection' ? decision : undefined
  if (suspicious !== undefined) tellSuspicion(suspicious, { caller, log, blocked: decision.outcome === 'refuse' })
  if (decision.outcome === 'refuse') raiseAtOnce(decision, caller.principal)
  return decision
}

/** Units that the message was counted as: whatever came of it, but for a refusal by the limit itself. */
function costOf (decision: Decision, { current: { tools } }: Offer): number {
  if (decision.outcome === 'allow') return decision.cost
  const { layer, target } = decision
  if (layer === 'cost') return 0
  return layer === 'arguments' || layer === 'inspection'
    ? (tools.get(target?.kind === 'tool' ? target.name : '')?.cost ?? 1)
    : 1
}

/** What was named, as permissions spell it: the caller's own words, without what looks like a credential. */
function shown ({ kind, name }: Target): string {
  const text = spelled(kind, name)
  return text.length < 16 ? text : redact(text, 128)
}
