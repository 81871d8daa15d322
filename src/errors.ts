/**
 * Every way this service refuses or fails, by reason: the HTTP status, the
 * JSON-RPC code (the HTTP status for our own refusals, which is outside the
 * ranges JSON-RPC and MCP reserve), and whether the text may be shown.
 */
export const ERRORS = {
  ADDRESS_BLOCKED: { http: 403, rpc: 403, expose: true },
  ORIGIN_REFUSED: { http: 403, rpc: 403, expose: true },
  TOO_LARGE: { http: 413, rpc: 413, expose: true },
  PARSE_ERROR: { http: 400, rpc: -32700, expose: true },
  UNSUPPORTED_MEDIA_TYPE: { http: 415, rpc: 415, expose: true },
  INVALID_REQUEST: { http: 400, rpc: -32600, expose: true },
  HEADER_MISMATCH: { http: 400, rpc: -32020, expose: true },
  INVALID_PARAMS: { http: 200, rpc: -32602, expose: true },
  MALFORMED_CREDENTIAL: { http: 400, rpc: 400, expose: true },
  AUTHENTICATION_REQUIRED: { http: 401, rpc: 401, expose: true },
  INVALID_CREDENTIAL: { http: 401, rpc: 401, expose: true },
  INSUFFICIENT_SCOPE: { http: 403, rpc: 403, expose: true },
  FORBIDDEN: { http: 403, rpc: 403, expose: true },
  NOT_FOUND: { http: 404, rpc: 404, expose: true },
  SESSION_NOT_FOUND: { http: 404, rpc: 404, expose: true },
  METHOD_NOT_ALLOWED: { http: 405, rpc: 405, expose: true },
  CONFLICT: { http: 409, rpc: 409, expose: true },
  RATE_LIMITED: { http: 429, rpc: 429, expose: true },
  TOO_MANY_FAILURES: { http: 429, rpc: 429, expose: true },
  TOO_MANY_SESSIONS: { http: 429, rpc: 429, expose: true },
  TOO_MANY_STREAMS: { http: 429, rpc: 429, expose: true },
  STATE_UNAVAILABLE: { http: 503, rpc: 503, expose: true },
  OVERLOADED: { http: 503, rpc: 503, expose: true },
  DRAINING: { http: 503, rpc: 503, expose: true },
  INTERNAL: { http: 500, rpc: -32603, expose: false }
} as const satisfies Record<string, { http: number, rpc: number, expose: boolean }>

export type ErrorCode = keyof typeof ERRORS

export interface AppErrorOptions {
  /** What went wrong inside. Goes to the log, never to the answer. */
  cause?: unknown
  /** Shown in the answer beside the reason. */
  data?: Record<string, unknown>
  /** HTTP headers of the answer. */
  headers?: Record<string, string>
}

/** A failure with a stable reason. Throw it anywhere; only plugins/errors.ts answers with it. */
export class AppError extends Error {
  override readonly name = 'AppError'
  readonly code: ErrorCode
  /** A plain field, because Fastify assigns to it. */
  statusCode: number
  readonly data: Record<string, unknown>
  readonly headers: Record<string, string>

  constructor (code: ErrorCode, message: string, { cause, data = {}, headers = {} }: AppErrorOptions = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.statusCode = ERRORS[code].http
    this.data = data
    this.headers = headers
  }
}

/** A wrong setting, file or command line. The process prints the message and exits with 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}
