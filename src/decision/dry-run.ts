/** What a change of policy would have decided of recorded requests: the same layers, asked of what was kept. Pure. */
import { keyPrincipal } from '../auth/api-keys.ts'
import { addressSet, normalAddress, type AddressSet } from '../core/address.ts'
import { judgeKey, ruleOf, type ApiKeyRecord } from '../core/api-key.ts'
import type { RateLimit } from '../core/limit.ts'
import type { AuthType } from '../core/principal.ts'
import { emptyWindow, slide, type Window } from '../core/sliding-window.ts'
import { judgeAddress, judgeLimit, judgePermission, type Refusal } from './layers.ts'
import { targetIn } from './recorded.ts'

/** Of a record, what decides. */
export interface ReplayedRecord {
  readonly reqId?: string
  /** ISO 8601. */
  readonly time: string
  readonly decision: string
  readonly rule?: string
  readonly principal?: string
  readonly auth?: string
  readonly method?: string
  readonly target?: string
  readonly address?: string
  readonly cost?: number
}

/** Plain data, so that it travels to a worker. */
export interface ReplayedPolicies {
  readonly keys: readonly ApiKeyRecord[]
  readonly rules: Readonly<Record<AuthType, RateLimit>>
  readonly blocked: readonly string[]
}

/** What is to be otherwise. */
export interface PolicyChange {
  /** This record in place of the one with its id. */
  readonly key?: ApiKeyRecord | undefined
  /** Blocked as well. */
  readonly block?: readonly string[] | undefined
  /** Limits of classes, units in a window. */
  readonly limits?: Readonly<Partial<Record<AuthType, number>>> | undefined
}

/** What one policy says of one record: a reason, `served`, or that it cannot be known, and why. */
export type Replayed = { readonly decision: string, readonly rule?: string | undefined } | { readonly unknown: string }

/** Refusals that are decided again; where one is gone, what came after it was never asked. */
const DECIDED_AGAIN: ReadonlySet<string> =
  new Set(['ADDRESS_BLOCKED', 'INVALID_CREDENTIAL', 'RATE_LIMITED', 'ACCESS_DENIED', 'FORBIDDEN'])

export function changedPolicies ({ keys, rules, blocked }: ReplayedPolicies, change: PolicyChange): ReplayedPolicies {
  const { key, block = [], limits = {} } = change
  return {
    keys: key === undefined ? keys : [...keys.filter(({ id }) => id !== key.id), key],
    rules: Object.fromEntries(Object.entries(rules).map(
      ([type, rule]) => [type, { ...rule, limit: limits[type as AuthType] ?? rule.limit }]
    )) as Record<AuthType, RateLimit>,
    blocked: [...blocked, ...block]
  }
}

/** Decides records in the order of their time with one policy. */
export class PolicyReplay {
  readonly #keys: ReadonlyMap<string, ApiKeyRecord>
  readonly #rules: ReplayedPolicies['rules']
  readonly #blocked: AddressSet
  readonly #windows = new Map<string, Window>()

  constructor ({ keys, rules, blocked }: ReplayedPolicies) {
    this.#keys = new Map(keys.map(record => [`key:${record.id}`, record]))
    this.#rules = rules
    this.#blocked = addressSet(blocked)
  }

  judge (record: ReplayedRecord): Replayed {
    const { principal, auth, address = '', decision, rule } = record
    const isAddress = normalAddress(address) !== undefined
    if (!isAddress && this.#blocked.size > 0) return { unknown: 'addresses were recorded as digests' }
    const blocked = isAddress ? judgeAddress(address, this.#blocked) : undefined
    if (blocked !== undefined) return told(blocked)
    // Nobody is known: no policy of a key or a class decides it.
    if (principal === undefined || auth === undefined) return this.#asRecorded(record)
    const refused = this.#judgeKnown(record)
    if (refused !== undefined) return 'unknown' in refused ? refused : told(refused)
    // A rule of places, or of a tool's own rate, is none of these.
    if (decision === 'RATE_LIMITED' && !/^limit of (the key|api_key|oauth2|custom|none)$/.test(rule ?? '')) {
      return { decision, rule }
    }
    return this.#asRecorded(record)
  }

  #asRecorded ({ decision, rule }: ReplayedRecord): Replayed {
    return DECIDED_AGAIN.has(decision)
      ? { unknown: `what comes after ${decision} was not asked then` }
      : { decision, rule }
  }

  #judgeKnown (
    { principal, auth, address = '', time, target, method = '', cost }: ReplayedRecord
  ): Refusal | { unknown: string } | undefined {
    const now = Date.parse(time)
    const key = this.#keys.get(principal!)
    const classRule = this.#rules[auth as AuthType]
    if (classRule === undefined) return { unknown: 'the kind of credential is not known here' }
    if (auth === 'api_key' && key === undefined) return { unknown: 'the record of the key is gone' }
    if (key !== undefined) {
      const verdict = judgeKey(key, key.hash, address, now)
      if (verdict !== 'valid') {
        return { outcome: 'refuse', reason: 'INVALID_CREDENTIAL', layer: 'credential', rule: verdict }
      }
    }
    const rule = key === undefined ? classRule : ruleOf(key, classRule)
    const counted = slide(this.#windowOf(principal!), rule, cost ?? 1, now)
    const over = judgeLimit(counted, rule.of === 'key' ? 'limit of the key' : `limit of ${auth}`)
    if (over !== undefined || target === undefined) return over
    // What a token of then gave is not kept.
    if (key === undefined) return undefined
    return judgePermission({ principal: keyPrincipal(key, now), method, target: targetIn(target), args: undefined })
  }

  #windowOf (subject: string): Window {
    const known = this.#windows.get(subject)
    if (known !== undefined) return known
    const made = emptyWindow()
    this.#windows.set(subject, made)
    return made
  }
}

function told ({ reason, rule }: Refusal): Replayed {
  return { decision: reason, rule }
}

export interface DryRunExample {
  readonly reqId: string | undefined
  readonly time: string
  readonly principal: string | undefined
  readonly target: string | undefined
  readonly from: string
  readonly to: string
  readonly rule: string | undefined
}

export interface DryRunResult {
  readonly records: number
  /** Of the oldest and the newest record. */
  readonly from: string | undefined
  readonly to: string | undefined
  readonly unchanged: number
  readonly changes: ReadonlyArray<{ readonly from: string, readonly to: string, readonly count: number }>
  readonly byPrincipal: Readonly<Record<string, number>>
  readonly byTarget: Readonly<Record<string, number>>
  readonly examples: readonly DryRunExample[]
  /** Records that cannot be decided again, by the reason. */
  readonly unknown: Readonly<Record<string, number>>
}

const MAX_EXAMPLES = 50
/** Principals and targets that are told apart. */
const MAX_TOLD = 1000

/** Both policies over the same records, and what differs. */
export class DryRun {
  readonly #before: PolicyReplay
  readonly #after: PolicyReplay
  readonly #changes = new Map<string, { from: string, to: string, count: number }>()
  readonly #byPrincipal = new Map<string, number>()
  readonly #byTarget = new Map<string, number>()
  readonly #unknown = new Map<string, number>()
  readonly #examples: DryRunExample[] = []
  #records = 0
  #unchanged = 0
  #first: string | undefined
  #last: string | undefined

  constructor (policies: ReplayedPolicies, change: PolicyChange) {
    this.#before = new PolicyReplay(policies)
    this.#after = new PolicyReplay(changedPolicies(policies, change))
  }

  take (record: ReplayedRecord): void {
    const [before, after] = [this.#before.judge(record), this.#after.judge(record)]
    this.#records++
    this.#first ??= record.time
    this.#last = record.time
    if ('unknown' in after || 'unknown' in before) {
      // What both refuse to say is no news of the change.
      const why = 'unknown' in after ? after.unknown : (before as { unknown: string }).unknown
      if ('unknown' in after && !('unknown' in before)) this.#note(record, before.decision, 'unknown', undefined)
      else if ('unknown' in before && !('unknown' in after)) this.#note(record, 'unknown', after.decision, after.rule)
      return add(this.#unknown, why)
    }
    if (before.decision === after.decision) this.#unchanged++
    else this.#note(record, before.decision, after.decision, after.rule)
  }

  result (): DryRunResult {
    return {
      records: this.#records,
      from: this.#first,
      to: this.#last,
      unchanged: this.#unchanged,
      changes: [...this.#changes.values()].sort((a, b) => b.count - a.count),
      byPrincipal: Object.fromEntries(this.#byPrincipal),
      byTarget: Object.fromEntries(this.#byTarget),
      examples: this.#examples,
      unknown: Object.fromEntries(this.#unknown)
    }
  }

  #note ({ reqId, time, principal, target }: ReplayedRecord, from: string, to: string, rule: string | undefined): void {
    const name = `${from} ${to}`
    const known = this.#changes.get(name) ?? { from, to, count: 0 }
    known.count++
    this.#changes.set(name, known)
    add(this.#byPrincipal, principal ?? '(nobody)')
    add(this.#byTarget, target ?? '(none)')
    if (this.#examples.length < MAX_EXAMPLES) this.#examples.push({ reqId, time, principal, target, from, to, rule })
  }
}

function add (counts: Map<string, number>, name: string): void {
  const known = counts.has(name) || counts.size < MAX_TOLD ? name : 'others'
  counts.set(known, (counts.get(known) ?? 0) + 1)
}
