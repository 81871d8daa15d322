/** What was decided of one request or message, and why: a value that is filled in on the way. */
import type { RateLimitResult } from '../core/limit.ts'
import type { Principal } from '../core/principal.ts'
import type { Reason } from '../errors.ts'

/** What a policy that only observes would have done. */
export interface Observed {
  readonly policy: string
  readonly reason: Reason
  readonly rule?: string | undefined
}

/** Why a stream ended. */
export type StreamEnd = 'answered' | 'client' | 'expired' | 'revoked' | 'slow' | 'draining' | 'age'

/**
 * Whoever decides writes here; the request line, the metrics and the audit
 * read it here and nowhere else. Every field is there from the start, so that
 * all traces have one shape.
 */
export class Trace {
  /** The request's id, as every line of the log and the answer name it. */
  readonly requestId: string
  /** When it came, ms of `performance.now`. */
  readonly began: number = performance.now()
  /** How it came: `POST /mcp`, `STDIO`, `(unread)`. */
  http: string | undefined = undefined
  /** Where it came from, in normal form; never the text of a header. */
  address: string = ''
  /** The MCP method, if it is a known one. */
  method: string | undefined = undefined
  /** What the message names, as permissions spell it: `echo`, `resource:note://a`, `prompt:greet`. */
  target: string | undefined = undefined
  era: 'modern' | 'legacy' | undefined = undefined
  /** `arguments` as sent: the record has a keyed digest of them and never more. */
  args: unknown = undefined
  /** Id of the principal; also of one that was refused, where its record was found. */
  principal: string | undefined = undefined
  auth: string | undefined = undefined
  /** Whose permissions held. */
  policy: Pick<Principal, 'permissions' | 'expiresAt' | 'cidrs'> | undefined = undefined
  /** Why it was refused; undefined while nothing refused it. */
  reason: Reason | undefined = undefined
  /** What decided: `!delete_*`, `10.0.0.0/8`. For the log and the audit, never for the caller. */
  rule: string | undefined = undefined
  /** Status of HTTP. */
  status: number | undefined = undefined
  /** Units counted against the limit. */
  cost: number | undefined = undefined
  /** The last count of the caller. */
  limit: RateLimitResult | undefined = undefined
  observed: Observed[] | undefined = undefined
  /** The server behind this one that was asked. */
  upstream: string | undefined = undefined
  /** Whether what was asked for began to be done: its caller is to know, whatever becomes of the record. */
  ran: boolean = false
  /** Why its stream ended. */
  end: StreamEnd | undefined = undefined

  constructor (requestId: string) {
    this.requestId = requestId
  }

  /** Who is asking. */
  identified (principal: Principal): void {
    this.principal = principal.id
    this.auth = principal.authType
    this.policy = principal
  }

  /** The first refusal stays: what comes after it only words the answer. */
  refuse (reason: Reason, rule?: string): void {
    if (this.reason !== undefined) return
    this.reason = reason
    this.rule = rule
  }

  /** What would have refused it, did its policy not only observe. */
  observe (observed: Observed): void {
    this.observed ??= []
    this.observed.push(observed)
  }

  /** `served`, or the reason of the refusal. */
  get decision (): Reason | 'served' {
    return this.reason ?? 'served'
  }
}
