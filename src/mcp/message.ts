/**
 * The form of a message, decided once and before everything else, whatever
 * way it goes afterwards: what it is, which revision it speaks, whether its
 * headers repeat it, whether its members hold what they must. What passes here
 * is taken by the SDK; what does not is refused in this service's words.
 */
import { accepted, type Accepted } from '../core/accept.ts'
import { decodeHeader } from '../core/param-headers.ts'
import type { Target } from '../core/permissions.ts'
import { isRequestId } from '../core/request-id.ts'
import { AppError } from '../errors.ts'
import { answerObject, integer, isObject, Misread, object, text, type Json, type Read } from './members.ts'
import { methodOf, type Era, type Method } from './methods.ts'
import {
  CLIENT_CAPABILITIES_META_KEY,
  MODERN_VERSION,
  PROTOCOL_VERSION_META_KEY,
  SUPPORTED_PROTOCOL_VERSIONS
} from './sdk/protocol.ts'

/** Of a request, names in lower case. */
export type Headers = Readonly<Record<string, string | string[] | undefined>>

interface Base {
  readonly jsonrpc: '2.0'
  readonly era: Era
  readonly params: Json
  /** What it names, where it names something. */
  readonly target: Target | undefined
}

/** A request in good form. */
export interface McpRequest extends Base {
  readonly kind: 'request'
  readonly id: string | number
  readonly method: string
  readonly accepts: Accepted
  readonly row: Method
}

/** A notification; what it says is looked at where it means something. */
export interface McpNotification extends Base {
  readonly kind: 'notification'
  readonly id?: undefined
  readonly method: string
}

/** An answer to a request of the server. */
export interface McpAnswer {
  readonly kind: 'answer'
  readonly jsonrpc: '2.0'
  readonly era: 'legacy'
  readonly id: string | number
  readonly method?: undefined
  readonly params?: undefined
  readonly target?: undefined
  readonly result?: Json
  readonly error?: Json
}

export type McpMessage = McpRequest | McpNotification | McpAnswer

export interface Reading {
  /** Undefined where there are none: over stdio. */
  readonly headers?: Headers | undefined
  /** Of the connection, where it has been settled by an earlier message. */
  readonly era?: Era | undefined
}

const NO_PARAMS: Json = {}
const DATE = /^\d{4}-\d{2}-\d{2}$/
const EVERYTHING: Accepted = { json: true, stream: true }
const readError = object({ 'code!': integer, 'message!': text, data: value => value })

/**
 * Read a message.
 *
 * @param body what JSON.parse gave
 * @throws {AppError} INVALID_REQUEST, INVALID_PARAMS (HTTP 400 for `_meta` of revision 2026-07-28), UNKNOWN_METHOD,
 *   VERSION_REFUSED, HEADER_MISMATCH, NOT_ACCEPTABLE
 */
export function readMessage (body: unknown, reading: Reading = {}): McpMessage {
  if (!isObject(body)) throw new AppError('INVALID_REQUEST', 'The body must be one JSON-RPC message')
  const { jsonrpc, id, method } = body
  if (jsonrpc !== '2.0') throw new AppError('INVALID_REQUEST', 'jsonrpc must be "2.0"')
  if (method === undefined || method === null) return readAnswer(body)
  if (typeof method !== 'string') throw new AppError('INVALID_REQUEST', 'method must be text')
  if (isGiven(body.result) || isGiven(body.error)) {
    throw new AppError('INVALID_REQUEST', 'A message is a request or an answer, not both')
  }
  if (id === undefined || (id === null && method.startsWith('notifications/'))) {
    return readNotification(method, body.params, reading)
  }
  if (!isRequestId(id)) {
    throw new AppError(
      'INVALID_REQUEST',
      'id must be text of at most 1,024 characters, or a whole number within ±(2^53 - 1)'
    )
  }
  return readRequest(id, method, body.params, reading)
}

function readRequest (id: string | number, method: string, given: unknown, reading: Reading): McpRequest {
  const params = paramsOf(given)
  const era = eraOf(method, params, reading)
  if (era === 'modern') checkEnvelope(method, params, reading.headers)
  const row = methodOf(method)
  if (row === undefined || !row.eras.includes(era)) {
    throw new AppError('UNKNOWN_METHOD', 'Method not found', era === 'modern' ? {} : { http: 200 })
  }
  const accepts = reading.headers === undefined ? EVERYTHING : accepted(reading.headers.accept)
  if (!accepts.json && !accepts.stream) {
    throw new AppError('NOT_ACCEPTABLE', 'Accept application/json, text/event-stream, or both')
  }
  const read = readWith(row.read[era], params, '')
  return { kind: 'request', jsonrpc: '2.0', id, method, params: read, era, accepts, row, target: row.target(read) }
}

/** Nothing is answered to a notification, and one that is not understood is dropped; only its headers must be right. */
function readNotification (method: string, given: unknown, reading: Reading): McpNotification {
  const params = isObject(given) ? given : NO_PARAMS
  const era = eraOf(method, params, reading)
  const mirror = headerOf(reading.headers, 'mcp-method')
  if (era === 'modern' && mirror !== undefined && mirror !== method) throw mismatch('Mcp-Method')
  return { kind: 'notification', jsonrpc: '2.0', method, params, era, target: undefined }
}

function readAnswer ({ id, result, error }: Json): McpAnswer {
  if (isGiven(result) === isGiven(error) || !isRequestId(id)) {
    throw new AppError(
      'INVALID_REQUEST',
      'The body must be one JSON-RPC message: a request, a notification, or an answer with the id of a request'
    )
  }
  const answer = { kind: 'answer', jsonrpc: '2.0', era: 'legacy', id } as const
  return isGiven(error)
    ? { ...answer, error: readWith(readError, error, 'error') }
    : { ...answer, result: readWith(answerObject, result, 'result') }
}

/** Which revisions a message belongs to. What its body claims counts; the header must not say otherwise. */
function eraOf (method: string, params: Json, { headers, era }: Reading): Era {
  if (era !== undefined) return era
  const claim = claimOf(params)
  const version = headerOf(headers, 'mcp-protocol-version')
  const namesModern = version !== undefined && DATE.test(version) && version >= MODERN_VERSION
  // The handshake is of the older revisions by itself.
  if (method === 'initialize' && !(typeof claim === 'string' && claim >= MODERN_VERSION)) {
    if (namesModern) throw mismatch('MCP-Protocol-Version')
    return 'legacy'
  }
  if (isGiven(claim) || namesModern) return 'modern'
  requireServed(version)
  return 'legacy'
}

/** What revision 2026-07-28 asks of each request before its method is looked at. */
function checkEnvelope (method: string, params: Json, headers: Headers | undefined): void {
  const claim = claimOf(params)
  if (typeof claim !== 'string') {
    throw new AppError(
      'INVALID_PARAMS',
      `Invalid params: _meta must hold ${PROTOCOL_VERSION_META_KEY} and ${CLIENT_CAPABILITIES_META_KEY}`,
      { http: 400 }
    )
  }
  if (headers !== undefined && (headerOf(headers, 'mcp-protocol-version') ?? claim) !== claim) {
    throw mismatch('MCP-Protocol-Version')
  }
  if (claim !== MODERN_VERSION) {
    throw new AppError('VERSION_REFUSED', 'This protocol revision is not served', {
      data: { supported: [MODERN_VERSION], requested: claim.slice(0, 32) }
    })
  }
  if (headers === undefined) return
  if (headerOf(headers, 'mcp-protocol-version') === undefined) throw mismatch('MCP-Protocol-Version')
  if (headerOf(headers, 'mcp-method') !== method) throw mismatch('Mcp-Method')
  const mirrored = methodOf(method)?.mirrored
  const name = mirrored === undefined ? undefined : params[mirrored]
  if (typeof name !== 'string') return
  const mirror = headerOf(headers, 'mcp-name')
  if (mirror === undefined || decodeHeader(mirror) !== name) throw mismatch('Mcp-Name')
}

/** @throws {AppError} VERSION_REFUSED for a header that names none of the older revisions */
export function requireServed (version: unknown): void {
  if (version === undefined || (SUPPORTED_PROTOCOL_VERSIONS as readonly unknown[]).includes(version)) return
  throw new AppError('VERSION_REFUSED', 'This MCP-Protocol-Version is not served', {
    data: { supported: [MODERN_VERSION, ...SUPPORTED_PROTOCOL_VERSIONS] }
  })
}

function mismatch (header: string): AppError {
  return new AppError('HEADER_MISMATCH', `The header ${header} must repeat what the body says`, { data: { header } })
}

function claimOf ({ _meta }: Json): unknown {
  return isObject(_meta) ? _meta[PROTOCOL_VERSION_META_KEY] : undefined
}

function headerOf (headers: Headers | undefined, name: string): string | undefined {
  const value = headers?.[name]
  return Array.isArray(value) ? value.join(', ') : value
}

function paramsOf (given: unknown): Json {
  if (!isGiven(given) || (Array.isArray(given) && given.length === 0)) return NO_PARAMS
  if (isObject(given)) return given
  throw new AppError('INVALID_PARAMS', 'Invalid params: params must be an object')
}

function readWith (read: Read, value: unknown, path: string): Json {
  try {
    return read(value, path) as Json
  } catch (error) {
    if (!(error instanceof Misread)) throw error
    const isEnvelope = error.path.startsWith('_meta.io.modelcontextprotocol/')
    throw new AppError('INVALID_PARAMS', `Invalid params: ${error.message}`, isEnvelope ? { http: 400 } : {})
  }
}

/** `null` stands for what is absent. */
function isGiven (value: unknown): boolean {
  return value !== undefined && value !== null
}
