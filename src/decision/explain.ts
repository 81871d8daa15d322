/**
 * The same layers that decide, asked one by one, with what each of them saw.
 * Nothing is counted, and nothing is decided here: a layer of the front is
 * asked as its hook asks it, those of a message are the fold of decide.ts.
 */
import { keyPrincipal, keyRefusal } from '../auth/api-keys.ts'
import { countersOf, FAILURES, FAILURES_OF } from '../auth/chain.ts'
import { foresee, foreseeIn, limitOf, type Counters } from '../auth/counters.ts'
import { addressGroup, addressSet } from '../core/address.ts'
import { ruleOf, type ApiKeyRecord } from '../core/api-key.ts'
import type { RateLimit } from '../core/limit.ts'
import { spelled, usableBy, type Target } from '../core/permissions.ts'
import type { AuthType, Principal } from '../core/principal.ts'
import { AppError, type Reason } from '../errors.ts'
import type { Store } from '../state/store.ts'
import type { Catalogue, OfferedTool } from '../tools/catalogue.ts'
import { foreseeCharge } from './charge.ts'
import { decide, type Decision } from './decide.ts'
import {
  judgeAddress, judgeLimit, judgeOrigin, judgeRevocation, LAYERS,
  type Allowed, type HeadersOfMessage, type Inspection, type LayerName, type Refusal
} from './layers.ts'
import { remediesFor } from './remedies.ts'

/** Who asks: a key of which the record was found, a token that was judged, or what was refused before anything else. */
export type Presented =
  | { readonly record: ApiKeyRecord, readonly hash: string }
  | { readonly principal: Principal }
  | { readonly refused: AppError }

/** A message as somebody might send it. What is absent is not known: its layer says so instead of guessing. */
export interface Supposed {
  readonly who: Presented
  /** Normal form. */
  readonly address?: string | undefined
  readonly host?: string | undefined
  readonly origin?: string | undefined
  readonly method: string
  readonly target?: Target | undefined
  /** Undefined: not known. No arguments are `{}`. */
  readonly args?: unknown
  readonly headers?: HeadersOfMessage | undefined
}

/** What holds now. */
export interface PoliciesNow {
  readonly store: Store
  readonly catalogue: Catalogue
  readonly inspection: Inspection
  readonly rules: Readonly<Record<AuthType, RateLimit>>
  readonly hosts?: Allowed | undefined
  /** False where the counts are in another process. */
  readonly seesCounts: boolean
  /** Why something that no catalogue has is not there, where that is known: for operators, never for callers. */
  readonly whyAbsent?: ((target: Target) => string | undefined) | undefined
}

export type LayerVerdict = 'passed' | 'refused' | 'unknown' | 'not asked'

export interface ExplainedLayer {
  readonly layer: LayerName
  readonly verdict: LayerVerdict
  readonly reason?: Reason | undefined
  /** What decided: `!delete_*`, `10.0.0.0/8`. */
  readonly rule?: string | undefined
  /** What it looked at, in words. */
  readonly saw?: string | undefined
}

export interface Explanation {
  readonly decision: Reason | 'served'
  readonly layer?: LayerName | undefined
  readonly rule?: string | undefined
  readonly principal?: string | undefined
  readonly target?: string | undefined
  readonly layers: readonly ExplainedLayer[]
  /** What would let it through, one sentence each; empty where nothing refuses it. */
  readonly mend: readonly string[]
  /** Of a request that was recorded: when, and whether the policy of its key is another one now. */
  readonly recorded?: { readonly time: string, readonly policyChanged?: boolean | undefined } | undefined
}

/** What a layer says: a refusal, or what it saw while it let through. */
type Said = Refusal | { readonly saw: string, readonly unknown?: true }

const UNKNOWN = (saw: string): Said => ({ saw, unknown: true })

/** One question on its way through the layers. */
interface Inquiry {
  readonly asked: Supposed
  readonly now: PoliciesNow
  readonly principal: Principal | undefined
  readonly counters: Counters | undefined
  readonly decided: () => Promise<Decision>
}

/** Ask every layer in order until one refuses. @throws {AppError} STATE_UNAVAILABLE */
export async function explain (asked: Supposed, now: PoliciesNow): Promise<Explanation> {
  const inquiry = begin(asked, now)
  const layers: ExplainedLayer[] = []
  let refusal: Refusal | undefined
  for (const layer of LAYERS) {
    if (refusal !== undefined) {
      layers.push({ layer, verdict: 'not asked' })
      continue
    }
    const said = await LAYER[layer](inquiry)
    if ('outcome' in said) {
      refusal = said
      layers.push({ layer, verdict: 'refused', reason: said.reason, rule: said.rule, saw: said.text })
    } else layers.push({ layer, verdict: said.unknown === true ? 'unknown' : 'passed', saw: said.saw })
  }
  const { principal } = inquiry
  const record = 'record' in asked.who ? asked.who.record : undefined
  return {
    decision: refusal?.reason ?? 'served',
    layer: refusal?.layer,
    rule: refusal?.rule,
    principal: principal?.id,
    target: asked.target && spelled(asked.target.kind, asked.target.name),
    layers,
    mend: refusal === undefined
      ? []
      : remediesFor({ ...refusal, principal, record, address: asked.address, target: asked.target }, now)
  }
}

function begin (asked: Supposed, now: PoliciesNow): Inquiry {
  const { who } = asked
  const principal = 'record' in who
    ? keyPrincipal(who.record, now.store.now())
    : 'principal' in who ? who.principal : undefined
  const counters = principal === undefined ? undefined : countersFor(who, principal, now)
  let decided: Promise<Decision> | undefined
  const inquiry: Inquiry = { asked, now, principal, counters, decided: () => (decided ??= decision(inquiry)) }
  return inquiry
}

function countersFor (who: Presented, principal: Principal, { rules }: PoliciesNow): Counters {
  if (!('record' in who)) return countersOf({ principal }, rules)
  return countersOf({ principal, subject: `key:${who.record.hash}`, rule: ruleOf(who.record, rules.api_key) }, rules)
}

/** The fold that decides messages, with a charge that counts nothing. */
async function decision ({ asked, now, principal, counters }: Inquiry): Promise<Decision> {
  const { store, catalogue, inspection, seesCounts } = now
  const { method, target, args = {}, headers } = asked
  const charge = seesCounts
    ? (tool: OfferedTool, target: Target) => foreseeCharge(store, counters!, tool, target)
    : undefined
  return await decide({ principal: principal!, method, target, args, headers }, { catalogue, inspection, charge })
}

/** What each layer says; in no order, for LAYERS has it. */
const LAYER: Readonly<Record<LayerName, (inquiry: Inquiry) => Said | Promise<Said>>> = {
  load: () => UNKNOWN('how busy a replica is changes by the moment'),
  origin: ({ asked: { host, origin }, now: { hosts } }) => host === undefined || hosts === undefined
    ? UNKNOWN('no Host was named')
    : judgeOrigin(host, origin, hosts, false) ??
      { saw: `Host ${host}${origin === undefined ? '' : `, Origin ${origin}`}` },
  address: ({ asked: { address }, now: { store } }) => address === undefined
    ? UNKNOWN('no address was named')
    : judgeAddress(address, addressSet(store.blocklist.entries().keys())) ??
      { saw: `${address} is on no blocked range` },
  route: () => ({ saw: 'POST /mcp' }),
  credential,
  revocation: ({ principal, now: { store } }) =>
    judgeRevocation(principal!, store.revocations.entries(), store.now()) ??
    { saw: `no entry names ${principal!.revocableAs.join(', ')}` },
  limit,
  places: () => UNKNOWN('how many calls are under way changes by the moment'),
  message: ({ asked: { method } }) => ({ saw: method }),
  scope: inquiry => ofMessage('scope', inquiry, () => isToken(inquiry) ? patternOf(inquiry) : 'no token'),
  permission: inquiry =>
    ofMessage('permission', inquiry, () => isToken(inquiry) ? 'scopes decide' : patternOf(inquiry)),
  existence: inquiry => ofMessage('existence', inquiry, () => 'it is offered'),
  'param-headers': inquiry => ofMessage('param-headers', inquiry, () => 'no header says something else'),
  cost: inquiry => inquiry.now.seesCounts
    ? ofMessage('cost', inquiry, ({ cost }) => `${cost} of the limit`)
    : UNKNOWN('the counts are in the running server'),
  arguments: inquiry => ofArguments('arguments', inquiry, 'they fit the input schema'),
  inspection: inquiry => inquiry.now.inspection.mode === 'off'
    ? { saw: 'INSPECTION=off' }
    : ofArguments('inspection', inquiry, 'no pattern matches'),
  upstream: () => UNKNOWN('what the tool answers is not tried')
}

/** A layer that looks at the message: passed unless the fold ended there. */
async function ofMessage (
  layer: LayerName, { decided }: Inquiry, saw: (allowed: { cost: number }) => string
): Promise<Said> {
  const decision = await decided()
  if (decision.outcome === 'refuse' && decision.layer === layer) return decision
  return { saw: saw(decision.outcome === 'allow' ? decision : { cost: 1 }) }
}

/** What depends on arguments that were not named is not known. */
async function ofArguments (layer: 'arguments' | 'inspection', inquiry: Inquiry, saw: string): Promise<Said> {
  const { asked, decided } = inquiry
  if (asked.args === undefined && asked.target !== undefined) return UNKNOWN('no arguments were named')
  const decision = await decided()
  if (layer === 'inspection' && decision.outcome === 'allow' && decision.observed !== undefined) {
    return { saw: `${decision.observed.rule} would refuse it, but INSPECTION=observe` }
  }
  return await ofMessage(layer, inquiry, () => saw)
}

function isToken ({ principal }: Inquiry): boolean {
  return principal!.authType === 'oauth2'
}

function patternOf ({ principal, asked: { target } }: Inquiry): string {
  return target === undefined ? 'nothing is named' : `${usableBy(principal!, target.kind, target.name).by} gives it`
}

const REFUSED = { outcome: 'refuse', layer: 'credential' } as const

/** The credential as its authenticator judges it; many wrong ones of an address are told as one more of them. */
async function credential ({ asked: { who, address }, now: { store, seesCounts } }: Inquiry): Promise<Said> {
  if ('principal' in who) return { saw: `a good credential of ${who.principal.name}` }
  if ('record' in who && who.record.cidrs !== undefined && address === undefined) {
    return UNKNOWN('the key is bound to addresses, and none was named')
  }
  const refused = 'refused' in who
    ? who.refused
    : keyRefusal(who.record, { hash: who.hash, address: address ?? '', now: store.now() })
  if (refused === undefined) return { saw: 'record' in who ? `key "${who.record.name}" may be used` : '' }
  const { code, rule, cause } = refused
  if (code === 'INVALID_CREDENTIAL' && address !== undefined && seesCounts) {
    const group = addressGroup(address)
    const failures = await foresee(store, { subject: FAILURES_OF + group, rule: FAILURES }, 1)
    if (!failures.allowed) return { ...REFUSED, reason: 'TOO_MANY_FAILURES', rule: `failures of ${group}` }
  }
  return { ...REFUSED, reason: code, rule: rule ?? (typeof cause === 'string' ? cause : undefined) }
}

async function limit ({ principal, counters, now: { store, seesCounts } }: Inquiry): Promise<Said> {
  if (!seesCounts) return UNKNOWN('the counts are in the running server')
  const counted = await foreseeIn(store, counters!, 1)
  const { limit, remaining, windowMs } = counted
  return judgeLimit(counted, limitOf({ principal: principal!, ...counters! }, counted)) ??
    { saw: `${remaining + 1} of ${limit} left in ${windowMs / 1000} s` }
}
