import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { rpcError, toAnswer } from '../src/core/answer.ts'
import { decodedPath, resemblesEndpoint } from '../src/core/request-target.ts'
import { AppError } from '../src/errors.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Answer failures as JSON-RPC. */
    jsonRpc?: boolean
    /** Answer without asking who is calling. Everything else is closed. */
    public?: boolean
  }
}

/** Writes every failure, as JSON-RPC on MCP routes and as plain JSON elsewhere. */
export default fp(async function errors (app) {
  app.setErrorHandler((error, request, reply) => {
    const answer = toAnswer(error)
    const { trace } = request.secureMcp
    trace.refuse(answer.reason, answer.rule)
    trace.principal ??= answer.principal
    const inner = error instanceof AppError ? error.cause : error
    // A stack for what nobody foresaw. While state is out of reach there is a refusal for every request.
    if (answer.status === 503) request.log.warn({ why: why(inner ?? error), reason: answer.reason }, 'request refused')
    // The answer does not say which; whoever set this server up wants to know.
    else if (answer.reason === 'ORIGIN_REFUSED') request.log.warn({ why: answer.rule, reason: answer.reason }, 'Host or Origin refused: behind a proxy set PUBLIC_URL, ALLOWED_HOSTS or ALLOWED_ORIGINS to what clients send')
    else if (answer.status >= 500) request.log.error({ err: inner ?? error, reason: answer.reason }, 'request failed')
    else if (inner !== undefined) request.log.info({ why: why(inner), reason: answer.reason }, 'request refused')

    reply.code(answer.status).headers(answer.headers)
    if (speaksJsonRpc(request)) {
      reply.type('application/json; charset=utf-8')
      return rpcError(answer, (request.body as { id?: unknown } | undefined)?.id, request.id)
    }
    return { error: answer.reason, message: answer.message, ...answer.data, requestId: request.id }
  })
}, { name: 'errors', fastify: '5.x', dependencies: ['request-context'] })

/** The endpoint, and what was meant to be it. */
function speaksJsonRpc ({ is404, routeOptions: { config }, url }: FastifyRequest): boolean {
  return config.jsonRpc === true || (is404 && resemblesEndpoint(decodedPath(url) ?? ''))
}

/** Causes are words or errors of ours; a stack is for 5xx only. */
function why (cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
