/** Texts to and from one upstream, whatever carries them: lines of a child, or Streamable HTTP. */

/** One HTTP request and its answer, which may be a stream; what comes on it belongs to the message that was sent. */
export interface WireExchange {
  /** Headers for this message alone, e.g. `Mcp-Name`, or those passed on from the caller. */
  readonly headers?: Readonly<Record<string, string>>
  /** Ends the exchange: nothing more of it is wanted. */
  readonly signal?: AbortSignal
  /** It ended without an answer, or was refused: HTTP status where there was one, and a sentence that names no secret. */
  onEnd? (failure?: WireFailure): void
}

/** Why nothing came, or nothing that can be used. */
export interface WireFailure {
  readonly kind: 'unreachable' | 'refused' | 'session_lost' | 'too_large' | 'not_mcp' | 'closed'
  readonly message: string
  /** HTTP status, where there was one. */
  readonly status?: number
  /** From `Retry-After`, ms. */
  readonly retryAfterMs?: number
}

export interface Wire {
  /** Send one JSON-RPC message. Trouble is told by the exchange's `onEnd`, or by `onClose` where the whole wire is gone. */
  send (text: string, exchange?: WireExchange): void
  /** End in order: nothing of ours is left running after it resolves. */
  close (): Promise<void>
  /** One message came; with the exchange that it came on, over HTTP. */
  onText: (text: string, exchange?: WireExchange) => void
  /** The wire is gone, once, with a sentence that names no secret; not after `close`. */
  onClose: (why: string) => void
}
