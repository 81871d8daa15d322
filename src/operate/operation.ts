/** What an operation of an operator is: said once here, performed by the management API, described by its document. */
import type { Static, TSchema } from 'typebox'
import type { Principal } from '../core/principal.ts'
import type { Trace } from '../decision/trace.ts'
import type { WhyContext } from './why.ts'

/** What operations work on. */
export interface OperateContext extends WhyContext {
  /** How this process is. */
  readonly status: () => ProcessStatus
  /** How long a revocation of tokens is kept unless it says otherwise, ms. */
  readonly keepRevocationsMs: number
  /** Of the records. */
  readonly folder: string
  /** What the doctor finds, the worst first. @param only of checks whose name begins so */
  readonly examine: (only: string) => Promise<readonly ExaminedCheck[]>
}

export interface ExaminedCheck {
  /** `redis-policy` */
  readonly id: string
  readonly asks: string
  readonly severity: 'ok' | 'warn' | 'bad'
  readonly found: string
  readonly remedy?: string | undefined
}

export interface IssuerStatus {
  readonly issuer: string
  /** Whether its metadata was found. */
  readonly metadata: boolean
  /** Whether it answered the last time. */
  readonly up: boolean
  readonly keysAgeMs: number | undefined
}

export interface ProcessStatus {
  readonly version: string
  readonly node: string
  /** Differs where settings differ. */
  readonly settings: string | undefined
  /** ms since the epoch. */
  readonly started: number
  readonly inFlight: number
  readonly streams: number
  readonly draining: boolean
  readonly authentication: { readonly required: boolean, readonly types: readonly string[] }
  readonly issuers: ReadonlyArray<IssuerStatus>
  readonly inspection: string
}

/** One request of an operator. */
export interface Performing {
  readonly operator: Principal
  /** The version that the change is made to; undefined: whatever is there. */
  readonly ifMatch: string | undefined
  readonly trace?: Trace | undefined
}

/** What an operation gives back. */
export interface Performed<Body> {
  readonly body: Body
  /** Version of the item, for a change that follows. */
  readonly version?: string | undefined
  /** A member of the body that is shown this once. */
  readonly secret?: keyof Body & string | undefined
  /** What was there before a change, without hashes. */
  readonly before?: unknown
}

export interface Operation<I extends TSchema = TSchema, O extends TSchema = TSchema> {
  /** `keys.rotate` */
  readonly name: string
  readonly summary: string
  /** What the patterns of an operator key are held to: `read.keys`, `write.keys`. */
  readonly needs: string
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** `/api/keys/:id`; its parameters are members of the input. */
  readonly path: string
  /** What path, query and body say together. */
  readonly input: I
  readonly output: O
  /** Status of its answer where all went well; 200 if absent. */
  readonly status?: 200 | 201 | 204
  /** It changes an item that has a version: If-Match must name it. */
  readonly versioned?: true
  /** The command that does the same, or why there is none. */
  readonly command: string | { readonly none: string }
  run (context: OperateContext, input: Static<I>, performing: Performing): Promise<Performed<Static<O>>>
}

/** An operation with its types worked out from its schemas. */
export function defineOperation<I extends TSchema, O extends TSchema> (operation: Operation<I, O>): Operation {
  return operation as Operation
}
