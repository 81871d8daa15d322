import fp from 'fastify-plugin'
import { rpcError, toAnswer } from '../src/core/answer.ts'
import { oauthHint } from '../src/core/oauth-hint.ts'
import { AppError } from '../src/errors.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Answer failures as JSON-RPC. */
    jsonRpc?: boolean
    /** Answer without asking who is calling. Everything else is closed. */
    public?: boolean
  }
}

export interface ErrorsOptions {
  /** The authorization servers that are trusted; empty where OAuth is off. */
  issuers?: readonly string[]
}

/** Writes every failure, as JSON-RPC on MCP routes and as plain JSON elsewhere. */
export default fp<ErrorsOptions>(async function errors (app, { issuers = [] }) {
  app.setErrorHandler((error, request, reply) => {
    const answer = toAnswer(error)
    const { trace } = request.secureMcp
    trace.refuse(answer.reason, answer.rule)
    trace.principal ??= answer.principal
    const inner = error instanceof AppError ? error.cause : error
    // A stack for what nobody foresaw. While state is out of reach there is a refusal for every request.
    if (answer.status === 503) request.log.warn({ why: why(inner ?? error), reason: answer.reason }, 'request refused')
    else if (answer.status >= 500) request.log.error({ err: inner ?? error, reason: answer.reason }, 'request failed')
    else if (inner !== undefined) request.log.info({ why: why(inner), reason: answer.reason }, 'request refused')

    reply.code(answer.status).headers(answer.headers)
    if (request.routeOptions.config.jsonRpc === true) {
      reply.type('application/json; charset=utf-8')
      return rpcError(answer, (request.body as { id?: unknown } | undefined)?.id, request.id)
    }
    return { error: answer.reason, message: answer.message, ...answer.data, requestId: request.id }
  })

  app.setNotFoundHandler((request, reply) => {
    request.secureMcp.trace.refuse('NOT_FOUND')
    const hint = oauthHint(request.url, issuers)
    return reply.code(404).send({ error: 'NOT_FOUND', message: hint ?? 'There is nothing here', requestId: request.id, ...(hint === undefined ? {} : { error_description: hint }) })
  })
}, { name: 'errors', fastify: '5.x', dependencies: ['request-context'] })

/** Causes are words or errors of ours; a stack is for 5xx only. */
function why (cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
