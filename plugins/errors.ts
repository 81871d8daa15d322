import { STATUS_CODES } from 'node:http'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { rpcError, toAnswer, type ErrorAnswer } from '../src/core/answer.ts'
import { decodedPath, resemblesEndpoint } from '../src/core/request-target.ts'
import { AppError } from '../src/errors.ts'
import { Sampling } from '../src/telemetry/sampling.ts'
import { routeOf } from './request-context.ts'

/** Causes told of one reason, and in how long, ms. What became of each request is in its own line. */
const MAX_TOLD = 5
const TOLD_MS = 5000

export interface ErrorsOptions {
  /** Write them as problem details (RFC 9457), for programs that manage. */
  problemDetails?: boolean
}

/** Writes every failure, as JSON-RPC on MCP routes and as plain JSON or problem details elsewhere. */
export default fp<ErrorsOptions>(async function errors (app, { problemDetails = false }) {
  const sampling = new Sampling(MAX_TOLD, TOLD_MS)

  app.setErrorHandler((error, request, reply) => {
    const answer = toAnswer(error)
    const { trace } = request.secureMcp
    trace.refuse(answer.reason, answer.rule)
    trace.principal ??= answer.principal
    tell(request, answer, error, sampling)

    reply.code(answer.status).headers(answer.headers).header('x-request-id', request.id)
    if (speaksJsonRpc(request)) {
      reply.type('application/json; charset=utf-8')
      return rpcError(answer, (request.body as { id?: unknown } | undefined)?.id, request.id)
    }
    if (problemDetails) {
      reply.type('application/problem+json; charset=utf-8')
      return problemOf(answer, request.id)
    }
    return { error: answer.reason, message: answer.message, ...answer.data, requestId: request.id }
  })
}, { name: 'secure-mcp/errors', fastify: '5.x', dependencies: ['secure-mcp/request-context'] })

/** RFC 9457: `type` names the reason, which docs/errors.md explains. */
function problemOf ({ reason, message, status, data }: ErrorAnswer, requestId: string) {
  return {
    type: `urn:secure-mcp-server:${reason}`,
    title: STATUS_CODES[status],
    status,
    detail: message,
    instance: requestId,
    error: reason,
    requestId,
    ...data
  }
}

/** The cause, for whoever set this server up; the answer does not say it. */
function tell (
  request: FastifyRequest,
  { status, reason, rule }: ErrorAnswer,
  error: unknown,
  sampling: Sampling
): void {
  const inner = error instanceof AppError ? error.cause : error
  if (status >= 500 && status !== 503) return request.log.error({ err: inner ?? error, reason }, 'request failed')
  if (status !== 503 && reason !== 'ORIGIN_REFUSED') {
    if (inner !== undefined) request.log.info({ why: why(inner), reason }, 'request refused')
    return
  }
  // While state is out of reach, or behind a proxy that this server was not told of, every request is refused
  // for the same.
  const omitted = sampling.pass(reason, performance.now())
  if (omitted === undefined) return
  const more = omitted === 0 ? {} : { omitted }
  if (status === 503) request.log.warn({ why: why(inner ?? error), reason, ...more }, 'request refused')
  else {
    request.log.warn(
      { why: rule, reason, ...more },
      'Host or Origin refused: behind a proxy set PUBLIC_URL, ALLOWED_HOSTS or ALLOWED_ORIGINS to what clients send'
    )
  }
}

/** The endpoint, and what was meant to be it. */
function speaksJsonRpc (request: FastifyRequest): boolean {
  const { is404, url } = request
  return routeOf(request).jsonRpc === true || (is404 && resemblesEndpoint(decodedPath(url) ?? ''))
}

/** Causes are words or errors of ours; a stack is for 5xx only. */
function why (cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
