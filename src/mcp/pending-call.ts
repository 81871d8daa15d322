import type { CallOutcome } from '../tools/call.ts'
import type { Host } from '../tools/context.ts'

/** A call that the fast lane began and the SDK's server brings to its end. */
export interface PendingCall {
  /** Its outcome. What it said so far, and what it still says, goes to this host. */
  resume (host: Host): Promise<CallOutcome>
}
