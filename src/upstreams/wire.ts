/** Texts to and from one upstream, whatever carries them: lines of a child, or Streamable HTTP. */

/** What of a caller may go out with a message. The wire never sends it as it is: see outgoing.ts. */
export interface WireCaller {
  /** @param name in lower case */
  header (name: string): string | undefined
  /** The access token that the caller presented, for token exchange (RFC 8693); undefined with an API key. */
  subjectToken? (): string | undefined
}

/**
 * One message that goes out. Over HTTP it is one request and its answer, which
 * may be a stream; what comes on it belongs to the message.
 */
export interface WireExchange {
  /** Headers for this message alone, in lower case, e.g. `mcp-protocol-version`, `mcp-name`. */
  readonly headers?: Readonly<Record<string, string>>
  readonly caller?: WireCaller
  /** It is `initialize`: sent without a session id, and the answer's one is kept. */
  readonly opensSession?: boolean
  /**
   * Set by the receiver, within `onText`, when the answer has come: the end needs no explanation then,
   * and a stream that stays open is closed. A notification, which has no answer, leaves it out.
   */
  answered?: boolean
  /**
   * Told once: nothing more comes. With a failure if the message could not be sent, was refused, or
   * the answer cannot be used. Without one, though not `answered`: the upstream took it (202) and said nothing.
   */
  onEnd? (failure?: WireFailure): void
}

/** Why nothing came, or nothing that can be used. */
export interface WireFailure {
  /**
   * `session_lost`: the upstream does not know the session id that was sent.
   * `closed`: it closed the connection, or the stream, without an answer.
   */
  readonly kind: 'unreachable' | 'refused' | 'session_lost' | 'too_large' | 'not_mcp' | 'closed'
  /** Goes on from "Upstream x", e.g. "answered HTTP 403"; names no secret and nothing that the upstream wrote. */
  readonly message: string
  /** What an operator can do about it; not for callers. */
  readonly detail?: string
  /** The message may have reached the upstream. */
  readonly sent: boolean
  /** HTTP status, where there was one. */
  readonly status?: number
  /** From `Retry-After`, ms. */
  readonly retryAfterMs?: number
  /** The body, where it is JSON: a JSON-RPC error may stand in it. Bounded, not checked, not for showing. */
  readonly text?: string
}

export interface Wire {
  /** Send one JSON-RPC message. Trouble is told by its `onEnd`, or by `onClose` if the whole wire is gone. */
  send (text: string, exchange?: WireExchange): void
  /** Over Streamable HTTP: see HttpWire. */
  listen? (exchange: WireExchange): void
  /** Nothing more of it is wanted: its request ends, `onEnd` is not called. */
  abandon (exchange: WireExchange): void
  /** End in order. Nothing is told from here on; nothing of ours runs any more when it resolves. */
  close (): Promise<void>
  /**
   * One text came; over HTTP with the exchange that it came on.
   *
   * @returns whether it was a JSON-RPC message; others are counted and told of in the log
   */
  onText: (text: string, exchange?: WireExchange) => boolean
  /** An answer that is larger than allowed was skipped; over stdio, where its id alone says whose it was. */
  onTooLarge: (id: number | string) => void
  /** The wire is gone, once; goes on from "Upstream x" and names no secret. */
  onClose: (why: string) => void
}

/** Streamable HTTP: what it has beyond lines. */
export interface HttpWire extends Wire {
  /** Goes with every message after `initialize`. May be set to one that another replica opened. */
  session: string | undefined
  /**
   * Open the stream on which a 2025 server speaks by itself, and open it again whenever it ends. What comes
   * bears this exchange. `onEnd` tells when there is no use in trying: 405 where the server has none, 409 where
   * another has it.
   */
  listen (exchange: WireExchange): void
}
