import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Readable } from 'node:stream'
import type { AuditLog } from '../src/audit/audit-log.ts'
import type { Trace } from '../src/decision/trace.ts'
import { AppError } from '../src/errors.ts'
import type { Metrics } from '../src/telemetry/metrics.ts'
import { routeOf } from './request-context.ts'

export interface AuditOptions {
  audit: AuditLog
}

/**
 * Notes the turn of the event loop in which each request came, and refuses what could not be recorded. Before
 * all that decides.
 */
export const auditTurns = fp<AuditOptions>(async function auditTurns (app, { audit }) {
  let turn = 0
  let isTurning = false
  const nextTurn = () => {
    turn++
    isTurning = false
  }
  app.secureMcp.turn = () => turn

  app.addHook('onRequest', function noteTurn (request, _reply, done) {
    request.secureMcp.turn = turn
    if (!isTurning) {
      isTurning = true
      setImmediate(nextTurn)
    }
    if (audit.available || routeOf(request).unlogged === true) return done()
    done(
      new AppError('AUDIT_UNAVAILABLE', 'The record of this call cannot be kept; retry later', {
        headers: { 'retry-after': '5' }
      })
    )
  })
}, { name: 'secure-mcp/audit-turns', fastify: '5.x', dependencies: ['secure-mcp/request-context'] })

/**
 * One record a request, and with it the request line: who, what, what was
 * decided, how long it took. Written before the answer leaves, together with
 * what else is answered in the same turn of the event loop
 * (docs/decisions/0043-answers-of-one-turn.md). Probes are left out. The last
 * hook of those that answer.
 */
export const auditRecords = fp<AuditOptions>(async function auditRecords (app, { audit }) {
  app.addHook('onSend', function keepRecord (request, reply, payload, done) {
    const { secureMcp } = request
    if (routeOf(request).unlogged === true) return done(null, payload)
    noteAnswer(request, reply)
    if (isReadable(payload)) return keepStream(audit, request, payload, done)
    audit.add(secureMcp.trace, 'request', secureMcp.turn === app.secureMcp.turn(), error => {
      if (error === undefined) done(null, payload)
      else done(error)
    })
  })
}, { name: 'secure-mcp/audit', fastify: '5.x', dependencies: ['secure-mcp/audit-turns'] })

/** What was refused before there was a request for the hooks: counted, and recorded before it is answered. */
export function refusedOutside (trace: Trace, metrics: Metrics, audit: AuditLog): void {
  metrics.refused(trace.decision, trace.rule)
  audit.addNow(trace, 'request', { must: false })
}

function noteAnswer (request: FastifyRequest, { statusCode }: FastifyReply): void {
  const { trace } = request.secureMcp
  trace.status = statusCode
  trace.http ??= `${request.method} ${request.routeOptions.url ?? '(no route)'}`
}

/** One record before the first byte, and one at the end. */
function keepStream (
  audit: AuditLog,
  { secureMcp: { trace } }: FastifyRequest,
  stream: Readable,
  done: (error: Error | null, payload?: unknown) => void
): void {
  try {
    audit.addNow(trace, 'opened')
  } catch (error) {
    stream.destroy()
    return done(error as Error)
  }
  let isWhole = false
  stream.once('end', () => {
    isWhole = true
  })
  stream.once('close', () => {
    trace.end ??= isWhole ? 'answered' : 'client'
    audit.add(trace, 'request', false, () => {})
  })
  done(null, stream)
}

function isReadable (payload: unknown): payload is Readable {
  return typeof (payload as { pipe?: unknown } | null | undefined)?.pipe === 'function'
}
