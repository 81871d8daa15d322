/** What it takes to serve a message: of the process, and of one message. */
import type { Departure } from '../core/departure.ts'
import type { Identity } from '../core/identity.ts'
import type { Principal } from '../core/principal.ts'
import type { Sealer } from '../core/seal.ts'
import type { Decision } from '../decision/decide.ts'
import type { Inspection } from '../decision/layers.ts'
import type { Trace } from '../decision/trace.ts'
import type { Log } from '../telemetry/log.ts'
import type { Onward } from '../tools/context.ts'
import type { Offer } from '../tools/offer.ts'
import type { Change, ToolHook } from '../tools/tool.ts'
import type { Sender } from './admit.ts'
import type { Era } from './methods.ts'
import type { PendingCall } from './pending-call.ts'

export interface ServingOptions {
  /** How the server names itself. */
  readonly identity: Identity
  readonly offer: Offer
  /** Looks at what callers say, answers to questions too. */
  readonly inspection: Inspection
  /** Runs around every call that was let through. */
  readonly toolHook?: ToolHook | undefined
  /** Seals what `ask` was given as state. */
  readonly sealer: Sealer
  /** Publishes a change to subscribers on every replica. */
  readonly changed: (what: Change) => void
  /**
   * Told before work starts that may change something elsewhere.
   *
   * @throws {AppError} AUDIT_UNAVAILABLE: then it does not start
   */
  readonly onBegin?: ((trace: Trace) => void) | undefined
  /** What `experimental.authentication` says. */
  readonly authentication: { readonly required: boolean, readonly types: readonly string[] }
}

/** One message on its way through a server of the SDK. */
export interface ServedMessage {
  readonly principal: Principal
  readonly decision: Decision
  readonly trace: Trace
  /** Of the request, as far as TOOL_HEADERS lists them. */
  readonly headers: Readonly<Record<string, string>>
  readonly onward?: (() => Onward) | undefined
  readonly log: Log
  /** A call that runs already. Whoever goes on with it takes it away. */
  pending: PendingCall | undefined
  /** Calls the listener when the message is over, answered or not. */
  readonly onOver?: ((listener: () => void) => void) | undefined
}

/** What a server of the SDK is made for: one message over HTTP, a whole connection over stdio. */
export interface Serving {
  readonly era: Era
  readonly log: Log
  /** The message that has this id. @throws {AppError} AUTHENTICATION_REQUIRED where nobody sent it */
  readonly messageOf: (id: string | number) => ServedMessage
  /** Legacy with a session: requests and notifications reach the client later, too. */
  readonly session?: SessionNotes | undefined
}

/** What a session remembers beyond one request. */
export interface SessionNotes {
  subscribe (uri: string): Promise<void>
  unsubscribe (uri: string): Promise<void>
}

/** One message over HTTP. */
export interface RequestContext extends Sender {
  /** Of the request, as far as TOOL_HEADERS lists them. */
  readonly headers: Readonly<Record<string, string>>
  readonly onward?: (() => Onward) | undefined
  /** What was decided of the message. Nothing is refused before that. */
  decision: Decision
  /** Of the client. Made on first use. */
  readonly departure: () => Departure
  /** Told when the answer waits for the client, perhaps for long. */
  readonly becomesStream: () => void
  /** Told when an upstream is to answer. */
  readonly asksUpstream: () => void
}
