/** Which revision an upstream speaks: what it answers, never what it claims. Then what each message to it must bear. */
import { encodeHeader, paramHeaderValues, type ParamHeader } from '../core/param-headers.ts'
import { isMembers, member, membersIn, PeerTrouble, UpstreamFault, type Members } from './messages.ts'
import type { Peer } from './peer.ts'

/** Revisions with a handshake, and those in which each request says all that it needs. */
export type UpstreamEra = 'legacy' | 'modern'

/** What was agreed on. */
export interface Agreement {
  readonly era: UpstreamEra
  readonly version: string
  readonly serverInfo: Members
  /** What it says that it can do. A list without its capability is not asked for. */
  readonly capabilities: Members
}

export interface HandshakeOptions {
  readonly peer: Peer
  readonly overHttp: boolean
  readonly protocol: 'auto' | UpstreamEra
  /** What is declared towards a server of the older revisions. */
  readonly declared: Members
  readonly deadlineMs: number
  readonly clientInfo: Members
}

export const MODERN = '2026-07-28'
/** Revisions with a handshake; the first is asked for. */
const LEGACY = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'] as const

const VERSION_META = 'io.modelcontextprotocol/protocolVersion'
const CAPABILITIES_META = 'io.modelcontextprotocol/clientCapabilities'
const LOG_LEVEL_META = 'io.modelcontextprotocol/logLevel'
const CLIENT_META = 'io.modelcontextprotocol/clientInfo'

/** Statuses with which servers of the older revisions refuse what they do not know. */
const UNKNOWN_HERE: ReadonlySet<number | undefined> = new Set([400, 404, 405, 406, 415])

/**
 * Agree on a revision. Over HTTP the newer one is tried first; over stdio older servers may fail on anything before
 * `initialize`, so that `auto` is not its default.
 *
 * @throws {PeerTrouble} where nothing can be agreed on
 * @throws {UpstreamFault} where `initialize` is refused
 */
export async function shakeHands (options: HandshakeOptions): Promise<Agreement> {
  const { protocol } = options
  if (protocol === 'legacy') return await initialize(options)
  try {
    return await discover(options)
  } catch (error) {
    if (protocol === 'modern' || !isOlder(error)) throw error
    return await initialize(options)
  }
}

/** What says that a server does not speak the newer revision; everything else is trouble of another kind. */
function isOlder (error: unknown): boolean {
  // Servers answer what they do not know with whatever error they have: 400 with -32000, 404 with -32601, 200 with
  // -32602.
  if (error instanceof OtherRevision || error instanceof UpstreamFault) return true
  return error instanceof PeerTrouble && (UNKNOWN_HERE.has(error.status) || error.kind === 'silent')
}

/** It answers, but not in a revision that is spoken here. */
class OtherRevision extends PeerTrouble {
  constructor (said: string) {
    super('not_mcp', `speaks no revision of MCP that is known here (${said})`)
  }
}

async function discover ({ peer, overHttp, deadlineMs, clientInfo }: HandshakeOptions): Promise<Agreement> {
  const before = peer.headers
  peer.headers = { 'mcp-protocol-version': MODERN }
  try {
    const result = await peer.ask('server/discover', { _meta: modernMeta({ clientInfo, capabilities: {} }) }, {
      deadlineMs, headers: { 'mcp-method': 'server/discover' }
    })
    const versions = member(result, 'supportedVersions')
    if (!Array.isArray(versions) || !versions.includes(MODERN)) throw new OtherRevision('server/discover names others')
    peer.cancelsByClosing = overHttp
    return {
      era: 'modern', version: MODERN, serverInfo: serverInfoOf(result), capabilities: membersIn(result, 'capabilities')
    }
  } catch (error) {
    peer.headers = before
    throw error
  }
}

async function initialize ({ peer, deadlineMs, declared, clientInfo }: HandshakeOptions): Promise<Agreement> {
  const params = { protocolVersion: LEGACY[0], capabilities: declared, clientInfo }
  const result = await peer.ask('initialize', params, { deadlineMs, opensSession: true })
  const version = member(result, 'protocolVersion')
  if (typeof version !== 'string' || !(LEGACY as readonly string[]).includes(version)) {
    throw new OtherRevision(`it answers ${JSON.stringify(version)?.slice(0, 40) ?? 'none'}`)
  }
  // Revisions before 2025-06-18 know no such header; a server of theirs does not look at it.
  peer.headers = { 'mcp-protocol-version': version }
  peer.cancelsByClosing = false
  peer.tell('notifications/initialized')
  return {
    era: 'legacy', version, serverInfo: membersIn(result, 'serverInfo'), capabilities: membersIn(result, 'capabilities')
  }
}

function serverInfoOf (result: Members): Members {
  const inMeta = member(membersIn(result, '_meta'), 'io.modelcontextprotocol/serverInfo')
  return isMembers(inMeta) ? inMeta : membersIn(result, 'serverInfo')
}

/** For whom a message goes out. */
export interface OnBehalf {
  readonly clientInfo: Members
  /** What the caller declared: a server of revision 2026-07-28 may ask that, and no more. */
  readonly capabilities: Members
  /** The least level of log messages that the caller wants; undefined: none. */
  readonly logLevel?: string | undefined
  /** Arguments that headers repeat. */
  readonly declared?: readonly ParamHeader[]
}

function modernMeta ({ clientInfo, capabilities, logLevel }: OnBehalf): Members {
  return {
    ...(logLevel === undefined ? {} : { [LOG_LEVEL_META]: logLevel }),
    [VERSION_META]: MODERN,
    [CLIENT_META]: clientInfo,
    [CAPABILITIES_META]: capabilities
  }
}

/** A message in the form that was agreed on: `_meta`, and the headers that repeat parts of it. */
export interface DressedMessage {
  readonly params: Members
  readonly headers?: Readonly<Record<string, string>>
}

export function dress ({ era }: Agreement, method: string, params: Members, behalf: OnBehalf): DressedMessage {
  if (era === 'legacy') return { params }
  const name = member(params, 'name') ?? member(params, 'uri')
  return {
    params: { ...params, _meta: { ...modernMeta(behalf), ...membersIn(params, '_meta') } },
    headers: {
      'mcp-method': method,
      ...(typeof name === 'string' ? { 'mcp-name': encodeHeader(name) } : {}),
      ...paramHeaderValues(behalf.declared ?? [], member(params, 'arguments'))
    }
  }
}
