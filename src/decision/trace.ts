/** What was decided of one request or message, and why: a value that is filled in on the way. */
import type { Reason } from '../errors.ts'

/**
 * Whoever decides writes here; the request line, the metrics and the audit
 * read it here and nowhere else. Every field is there from the start, so that
 * all traces have one shape.
 */
export class Trace {
  /** The request's id, as every line of the log and the answer name it. */
  readonly requestId: string
  /** The MCP method, if it is a known one. */
  method: string | undefined = undefined
  /** What the message names, as permissions spell it: `echo`, `resource:note://a`, `prompt:greet`. */
  target: string | undefined = undefined
  /** Id of the principal; also of one that was refused, where its record was found. */
  principal: string | undefined = undefined
  auth: string | undefined = undefined
  /** Why it was refused; undefined while nothing refused it. */
  reason: Reason | undefined = undefined
  /** What decided: `!delete_*`, `10.0.0.0/8`. For the log and the audit, never for the caller. */
  rule: string | undefined = undefined

  constructor (requestId: string) {
    this.requestId = requestId
  }

  /** The first refusal stays: what comes after it only words the answer. */
  refuse (reason: Reason, rule?: string): void {
    if (this.reason !== undefined) return
    this.reason = reason
    this.rule = rule
  }

  /** `served`, or the reason of the refusal. */
  get decision (): Reason | 'served' {
    return this.reason ?? 'served'
  }
}
