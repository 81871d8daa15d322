/** What leaves the process when something failed. */
import { AppError, ERRORS, type Reason } from '../errors.ts'
import { isRequestId } from './request-id.ts'

export interface ErrorAnswer {
  status: number
  /** PRODUCT's UPPER_SNAKE reason. */
  reason: Reason
  rpc: number
  message: string
  data: Record<string, unknown>
  headers: Record<string, string>
  /** What decided, and who was refused: for the log, never for the answer. */
  rule: string | undefined
  principal: string | undefined
}

/**
 * The one decision about what a failure may say. Unknown errors become
 * "Internal error": their text goes to the log only.
 */
export function toAnswer (thrown: unknown): ErrorAnswer {
  const error = thrown instanceof AppError ? thrown : fromFramework(thrown)
  const { http, rpc, expose } = ERRORS[error.code]
  return {
    status: error.http ?? http,
    reason: error.code,
    rpc: error.rpc ?? (rpc === http ? error.http ?? rpc : rpc), // our own refusals repeat their status
    message: expose ? error.message : 'Internal error',
    data: expose ? error.data : {},
    headers: error.headers,
    rule: error.rule,
    principal: error.principal
  }
}

/**
 * A JSON-RPC error body. `data.reason` is there for our own refusals and left
 * out for JSON-RPC's codes; the request's id is always there, to ask about.
 */
export function rpcError ({ rpc, reason, message, data }: ErrorAnswer, id: unknown, requestId: string) {
  return {
    jsonrpc: '2.0',
    id: isRequestId(id) ? id : null,
    error: { code: rpc, message, data: rpc > 0 ? { reason, ...data, requestId } : { ...data, requestId } }
  }
}

/** What hooks of an app around this service refuse by their status: its own limiter, its own authentication. */
const OF_OTHERS: ReadonlyMap<number, readonly [Reason, string]> = new Map([
  [401, ['AUTHENTICATION_REQUIRED', 'Authentication required']],
  [403, ['FORBIDDEN', 'Forbidden']],
  [429, ['RATE_LIMITED', 'Rate limit exceeded']],
  [503, ['OVERLOADED', 'Server overloaded; try again later']]
])

/** Fastify's own refusals, in our words. */
function fromFramework (thrown: unknown): AppError {
  const { code, statusCode } = (thrown ?? {}) as { code?: unknown, statusCode?: unknown }
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new AppError('TOO_LARGE', 'The body is over the limit')
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new AppError('UNSUPPORTED_MEDIA_TYPE', 'Content-Type must be application/json')
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
      return new AppError('PARSE_ERROR', 'The body is empty')
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
    case 'FST_ERR_BAD_URL':
      return new AppError('INVALID_REQUEST', 'The request is malformed')
    case 'FST_ERR_VALIDATION':
      return new AppError('INVALID_REQUEST', (thrown as Error).message)
    default:
      if (typeof statusCode === 'number' && OF_OTHERS.has(statusCode)) {
        return new AppError(...OF_OTHERS.get(statusCode)!, { cause: thrown })
      }
      if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) {
        return new AppError('INVALID_REQUEST', 'The request is malformed', { cause: thrown })
      }
      return new AppError('INTERNAL', 'Internal error', { cause: thrown })
  }
}
