/**
 * Why a call to an upstream came to nothing, in the words that the caller reads, and what it says of the upstream's
 * health.
 */
import { AppError, ERRORS, UsageError } from '../errors.ts'
import { redact } from '../telemetry/redact.ts'
import { UpstreamError, type UpstreamReason } from '../tools/tool.ts'
import { PeerTrouble, UpstreamFault, type TroubleKind } from './messages.ts'

/** Of what an upstream says in an error, characters and bytes. */
const MAX_MESSAGE = 2048
const MAX_DATA = 8192

const REASONS: Readonly<Record<TroubleKind, UpstreamReason>> = {
  unreachable: 'UPSTREAM_UNREACHABLE',
  closed: 'UPSTREAM_UNREACHABLE',
  refused: 'UPSTREAM_UNREACHABLE',
  session_lost: 'UPSTREAM_UNREACHABLE',
  cancelled: 'UPSTREAM_UNREACHABLE',
  late: 'UPSTREAM_TIMEOUT',
  too_large: 'UPSTREAM_BROKEN',
  not_mcp: 'UPSTREAM_BROKEN',
  silent: 'UPSTREAM_BROKEN'
}

/** Codes that speak of the hop between this server and the upstream: to the client they would speak of its own. */
const OF_THE_HOP: ReadonlySet<number> = new Set([-32700, -32600, -32020, -32022])
const INTERNAL_ERROR = -32603

/**
 * What a caller is told. An error of JSON-RPC goes on with its code where that
 * is negative: positive codes are refusals of this server and are not to be
 * forged.
 *
 * @param mask takes out the secrets that were given to the upstream
 */
export function toldOf (error: unknown, name: string, mask: (text: string) => string): unknown {
  if (error instanceof UpstreamFault) {
    const message = redact(mask(error.message), MAX_MESSAGE)
    if (OF_THE_HOP.has(error.code)) {
      return new UpstreamError('UPSTREAM_BROKEN', `Upstream "${name}" refused the message: ${message}`)
    }
    const more = { rule: `upstream ${name}`, data: dataOf(error.data, mask) }
    if (error.code === ERRORS.CAPABILITY_MISSING.rpc) return new AppError('CAPABILITY_MISSING', message, more)
    const rpc = error.code < 0 ? error.code : INTERNAL_ERROR
    return new AppError('TOOL_ERROR', message, { ...more, rpc })
  }
  // Nobody waits any more: whoever ran the call knows why.
  if (!(error instanceof PeerTrouble) || error.kind === 'cancelled') return error
  const { kind, message, status, retryAfterMs } = error
  if (status === 429) {
    const wait = retryAfterMs === undefined ? 'later' : `in ${Math.ceil(retryAfterMs / 1000)} s`
    return new UpstreamError('UPSTREAM_BUSY', `Upstream "${name}" is over its own limit; try again ${wait}`)
  }
  const isCredential = status === 401 || status === 403
  const remedy = isCredential
    ? '. It does not accept the credential that this server has for it; tell its operator'
    : ''
  return new UpstreamError(REASONS[kind], mask(`Upstream "${name}" ${message}${remedy}`))
}

function dataOf (data: unknown, mask: (text: string) => string): Record<string, unknown> {
  if (data === undefined) return {}
  const text = JSON.stringify(data)
  if (text === undefined || text.length > MAX_DATA) return {}
  const value = JSON.parse(redact(mask(text))) as unknown
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? value as Record<string, unknown>
    : {
        data: value
      }
}

/**
 * Whether it is a failure of the way to the upstream. Errors that it answers with, cancelled calls and refusals of our
 * credential are answers; a time-out counts if nothing at all was heard meanwhile, so that one slow tool stops nothing.
 *
 * @param since when the call began, @param heardAt when anything came last: ms of one clock
 */
export function isFailure (error: unknown, since: number, heardAt: number): boolean {
  if (!(error instanceof PeerTrouble)) return false
  switch (error.kind) {
    case 'unreachable':
    case 'closed': return true
    case 'refused': return error.status !== undefined && error.status >= 500
    case 'late': return heardAt < since
    default: return false
  }
}

/** Why it could not be started, in words that go on from "Upstream x". */
export function startTrouble (error: unknown): PeerTrouble {
  if (error instanceof PeerTrouble) {
    return error.kind === 'late'
      ? new PeerTrouble('unreachable', `did not finish its start: it ${error.message}`, { sent: false })
      : error
  }
  if (error instanceof UpstreamFault) {
    return new PeerTrouble('unreachable', `refused the handshake: ${error.message.slice(0, 200)}`)
  }
  if (error instanceof UsageError) {
    return new PeerTrouble('unreachable', `cannot be started: ${error.message}`, { sent: false })
  }
  return new PeerTrouble('unreachable', `cannot be started: ${(error as Error).message}`, { sent: false })
}
