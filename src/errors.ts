/**
 * Every way this service refuses or fails, by reason. docs/errors.md is
 * generated from this table; the log line, the metric and the answer name the
 * same word.
 */
export interface Refusing {
  /** Status of the answer over HTTP. */
  readonly http: number
  /**
   * JSON-RPC code: the HTTP status for refusals of this service, which is outside the ranges that JSON-RPC
   * and MCP reserve.
   */
  readonly rpc: number
  /** Whether the text may be shown. */
  readonly expose: boolean
  /** Travels as a result with `isError`, so that the model reads it; `rpc` is then never sent. */
  readonly as?: 'result'
  /** What it means and what to do, for docs/errors.md. */
  readonly means: string
}

export const ERRORS = {
  TRANSPORT: {
    http: 400,
    rpc: 400,
    expose: true,
    means:
      'The request cannot be read as HTTP: a bad method, header or length, or a header that came too slowly. The log names the code of the parser.'
  },
  ADDRESS_BLOCKED: {
    http: 403, rpc: 403, expose: true, means: 'The address is on the blocklist: `npx secure-mcp-server ip list`.'
  },
  ORIGIN_REFUSED: {
    http: 403,
    rpc: 403,
    expose: true,
    means: 'The Host or Origin is not one of `ALLOWED_HOSTS`, `ALLOWED_ORIGINS`. The log names the value that came.'
  },
  TOO_LARGE: { http: 413, rpc: 413, expose: true, means: 'The body is longer than `MAX_REQUEST_BYTES`.' },
  PARSE_ERROR: { http: 400, rpc: -32700, expose: true, means: 'The body is not JSON.' },
  UNSUPPORTED_MEDIA_TYPE: { http: 415, rpc: 415, expose: true, means: 'The content type must be `application/json`.' },
  INVALID_REQUEST: {
    http: 400,
    rpc: -32600,
    expose: true,
    means:
      'A batch, a duplicate or wrongly-cased protocol key, a second Host header, or a form that JSON-RPC or MCP does not know.'
  },
  INVALID_PARAMS: {
    http: 200,
    rpc: -32602,
    expose: true,
    means:
      'Parameters are missing or of the wrong form, or the prompt or resource is permitted but does not exist. HTTP 400 where `_meta` of a 2026-07-28 request is wrong.'
  },
  NOT_ACCEPTABLE: {
    http: 406,
    rpc: 406,
    expose: true,
    means:
      'The `Accept` header takes neither `application/json` nor `text/event-stream`: send one of them, both, or `*/*`.'
  },
  CAPABILITY_MISSING: {
    http: 400,
    rpc: -32021,
    expose: true,
    means:
      'The tool asks the client something that it did not declare to be able to answer; `data.requiredCapabilities` names it.'
  },
  UNKNOWN_TOOL: {
    http: 200,
    rpc: -32602,
    expose: true,
    means: 'The tool is permitted but does not exist: `tools/list` names those that do.'
  },
  UNKNOWN_METHOD: {
    http: 404,
    rpc: -32601,
    expose: true,
    means: 'The server does not know the MCP method. HTTP 200 for clients of 2025-11-25 and before.'
  },
  VERSION_REFUSED: {
    http: 400,
    rpc: -32022,
    expose: true,
    means: 'The server does not speak this MCP revision; `data.supported` lists those that it does.'
  },
  HEADER_MISMATCH: {
    http: 400,
    rpc: -32020,
    expose: true,
    means:
      'A header says something else than the body, or is missing: `Mcp-Method`, `Mcp-Name` and `Mcp-Param-*` repeat what the body holds.'
  },
  MALFORMED_CREDENTIAL: {
    http: 400,
    rpc: 400,
    expose: true,
    means: 'Two credentials at once, or a header that is none: send one of `Authorization` and `X-API-Key`.'
  },
  AUTHENTICATION_REQUIRED: { http: 401, rpc: 401, expose: true, means: 'The request has no credential.' },
  INVALID_CREDENTIAL: {
    http: 401,
    rpc: 401,
    expose: true,
    means: 'The credential is unknown, expired, revoked, or made for something else. The log says which.'
  },
  INSUFFICIENT_SCOPE: {
    http: 403,
    rpc: 403,
    expose: true,
    means: 'The token lacks a scope; `WWW-Authenticate` names all that the call needs.'
  },
  CROSS_SITE: {
    http: 403,
    rpc: 403,
    expose: true,
    means:
      'A page of another site or port asked the management listener, which answers its own pages and programs alone.'
  },
  FORBIDDEN: {
    http: 403,
    rpc: 403,
    expose: true,
    means:
      'The credential may not do this: a prompt or resource that no permission gives, or a caller key on a management route.'
  },
  ACCESS_DENIED: {
    http: 200,
    rpc: 403,
    expose: true,
    as: 'result',
    means:
      'No permission gives the tool, or one takes it away: `npx secure-mcp-server keys show`. The log names the pattern.'
  },
  SUSPICIOUS_ARGUMENT: {
    http: 200,
    rpc: 403,
    expose: true,
    as: 'result',
    means:
      'An argument matches an inspection pattern. The answer and the log name the argument and the pattern; a tool may `exempt` itself.'
  },
  INVALID_ARGUMENTS: {
    http: 200,
    rpc: -32602,
    expose: true,
    as: 'result',
    means: 'The arguments do not fit the input schema of the tool. The answer says what to mend.'
  },
  TOOL_ERROR: {
    http: 200, rpc: 500, expose: true, as: 'result', means: 'The tool says that it could not do it, in its own words.'
  },
  TOOL_FAILED: {
    http: 200,
    rpc: -32603,
    expose: true,
    as: 'result',
    means:
      'The tool threw, took longer than its `timeoutMs`, or returned what its output schema does not allow. The log has the cause.'
  },
  LOOP_DETECTED: {
    http: 508,
    rpc: 508,
    expose: true,
    means: 'The message passed this server before: an entry of `MCP_SERVERS_FILE` leads back here. Take it out.'
  },
  UPSTREAM_UNREACHABLE: {
    http: 200,
    rpc: 502,
    expose: true,
    as: 'result',
    means: 'The MCP server that the tool belongs to cannot be reached.'
  },
  UPSTREAM_TIMEOUT: {
    http: 200,
    rpc: 504,
    expose: true,
    as: 'result',
    means: 'The MCP server that the tool belongs to did not answer in time. The call may have been carried out.'
  },
  UPSTREAM_BUSY: {
    http: 200,
    rpc: 503,
    expose: true,
    as: 'result',
    means: 'Too many calls wait for the MCP server that the tool belongs to.'
  },
  UPSTREAM_BROKEN: {
    http: 200,
    rpc: 502,
    expose: true,
    as: 'result',
    means: 'The MCP server that the tool belongs to answered with something that breaks its schema or a bound.'
  },
  NOT_FOUND: { http: 404, rpc: 404, expose: true, means: 'The server does not know the path.' },
  SESSION_NOT_FOUND: {
    http: 404,
    rpc: 404,
    expose: true,
    means: "The session is unknown, over, or another principal's: initialize again."
  },
  PRECONDITION_REQUIRED: {
    http: 428,
    rpc: 428,
    expose: true,
    means: 'A change through the management API needs `If-Match` with the `ETag` of what is changed.'
  },
  PRECONDITION_FAILED: {
    http: 412,
    rpc: 412,
    expose: true,
    means: 'Somebody changed it meanwhile. `ETag` names the version that is there now: look again, then decide.'
  },
  METHOD_NOT_ALLOWED: { http: 405, rpc: 405, expose: true, means: 'Method not supported here; see `Allow`.' },
  RATE_LIMITED: {
    http: 429,
    rpc: 429,
    expose: true,
    means:
      'Over a limit; `data.retryAfterMs` and `Retry-After` say when to come back. Refused calls are not counted. The log says which limit: of the key, its class, the tool, or `places`.'
  },
  TOO_MANY_FAILURES: {
    http: 429,
    rpc: 429,
    expose: true,
    means:
      'Too many failed credentials from this address. Until `Retry-After` it may use keys that the server made, signed tokens, and credentials that were accepted before; nothing else is looked up.'
  },
  TOO_MANY_SESSIONS: {
    http: 429, rpc: 429, expose: true, means: 'End a session, or raise `MAX_SESSIONS_PER_PRINCIPAL`.'
  },
  TOO_MANY_STREAMS: {
    http: 429, rpc: 429, expose: true, means: 'Close a stream, or raise `MAX_STREAMS_PER_PRINCIPAL`.'
  },
  STATE_UNAVAILABLE: {
    http: 503,
    rpc: 503,
    expose: true,
    means: 'Redis is unreachable or lost what it held: try again after `Retry-After`.'
  },
  AUDIT_UNAVAILABLE: {
    http: 503,
    rpc: 503,
    expose: true,
    means:
      'The record of the call cannot be kept, and `AUDIT_WHEN_FULL=closed` serves nothing without one: make room on the disk of `AUDIT_DIR`, or raise `AUDIT_MAX_BYTES`.'
  },
  OVERLOADED: { http: 503, rpc: 503, expose: true, means: 'Server overloaded; retry after `Retry-After` seconds.' },
  DRAINING: { http: 503, rpc: 503, expose: true, means: 'This replica is ending: try again, another will answer.' },
  INTERNAL: {
    http: 500,
    rpc: -32603,
    expose: false,
    means: 'A fault of the service. The log has the cause under the same request id.'
  }
} as const satisfies Record<string, Refusing>

/** Why something was refused. */
export type Reason = keyof typeof ERRORS

export interface AppErrorOptions {
  /** What went wrong inside. Goes to the log, never to the answer. */
  cause?: unknown
  /** Status of the answer, where it is another than the reason's: revisions of MCP differ. */
  http?: number
  /** JSON-RPC code, where it is another than the reason's: of an MCP server behind this one. */
  rpc?: number
  /** Shown in the answer beside the reason. */
  data?: Record<string, unknown>
  /** HTTP headers of the answer. */
  headers?: Record<string, string>
  /** What decided: a pattern, a range, a limit. For the log and the audit. */
  rule?: string | undefined
  /** Id of the principal, where its record was found although it is refused. For the log and the audit. */
  principal?: string | undefined
}

/** A failure with a stable reason. Throw it anywhere; only plugins/errors.ts answers with it. */
export class AppError extends Error {
  override readonly name = 'AppError'
  readonly code: Reason
  readonly http: number | undefined
  readonly rpc: number | undefined
  /** A plain field, because Fastify assigns to it. */
  statusCode: number
  readonly data: Record<string, unknown>
  readonly headers: Record<string, string>
  readonly rule: string | undefined
  readonly principal: string | undefined

  constructor (
    code: Reason,
    message: string,
    { cause, http, rpc, data = {}, headers = {}, rule, principal }: AppErrorOptions = {}
  ) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.http = http
    this.rpc = rpc
    this.statusCode = http ?? ERRORS[code].http
    this.data = data
    this.headers = headers
    this.rule = rule
    this.principal = principal
  }
}

/** A wrong setting, file or command line. The process prints the message and exits with 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}
