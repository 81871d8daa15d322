/** MCP_SERVERS_FILE: from its text to entries, or to every fault at once, each with its line. No value is ever told. */
import { createHash } from 'node:crypto'
import { parseTree, printParseErrorCode, type Node, type ParseError } from 'jsonc-parser'
import { nearest } from '../core/nearest.ts'
import { UsageError } from '../errors.ts'
import { readIfThere } from '../files.ts'
import type { HttpTarget, StdioTarget, UpstreamEntry } from './entry.ts'
import { authOf, httpTarget, ownOptions, stdioTarget, type EntryReader } from './members.ts'
import { Section, shown, type PlacedFault } from './section.ts'
import type { ValueSources } from './values.ts'

const SETTING = 'MCP_SERVERS_FILE'
const NAME = /^[a-z0-9][a-z0-9-]{0,23}$/

export interface FileOptions {
  readonly sources: ValueSources
  /** Whether children may be started here (STDIO_UPSTREAMS). */
  readonly stdio: boolean
  /** Names of inspection patterns, for exemptions. */
  readonly patterns: { has (name: string): boolean }
}

/** What the file says. With faults the entries are not all there: use none. */
export interface UpstreamsFile {
  readonly entries: readonly UpstreamEntry[]
  /** Names of those with `disabled`. */
  readonly disabled: readonly string[]
  /** `file:line: server: fault`, in the order of the file. */
  readonly faults: readonly string[]
  /** In the same form: what is ignored. */
  readonly warnings: readonly string[]
}

/**
 * Read the file. One that is not there is a fault: `{"mcpServers": {}}` is how to have none.
 *
 * @throws {UsageError} with every fault, one a line
 */
export function readUpstreamsFile (path: string, options: FileOptions): UpstreamsFile {
  const text = readIfThere(path, SETTING)
  if (text === undefined) {
    throw new UsageError(`${SETTING}: ${path} does not exist; to have no upstreams write {"mcpServers": {}} into it`)
  }
  const file = parseUpstreamsFile(text, path, options)
  if (file.faults.length > 0) throw new UsageError([`${SETTING} is wrong:`, ...file.faults].join('\n  '))
  return file
}

/**
 * @param text JSON, with comments and trailing commas where people want them
 * @param path for messages
 */
export function parseUpstreamsFile (text: string, path: string, options: FileOptions): UpstreamsFile {
  const lines = new Lines(text, path)
  const errors: ParseError[] = []
  const root = text.trim() === '' ? undefined : parseTree(text, errors, { allowTrailingComma: true })
  if (errors.length > 0 || root === undefined) {
    return { entries: [], disabled: [], faults: [lines.message(notJson(text, errors[0]))], warnings: [] }
  }
  if (root.type !== 'object') {
    return {
      entries: [],
      disabled: [],
      faults: [lines.message({ offset: root.offset, text: `must be ${EMPTY}` })],
      warnings: []
    }
  }

  const outer: PlacedFault[] = []
  const section = new Section(root, outer)
  section.skip('$schema')
  const servers = serversOf(section)
  for (const { value, offset } of section.unread()) section.fault(unknownOutside(value), offset)
  const read = servers?.map(server => ({ server, ...readServer(server, options, lines) })) ?? []
  const entries = read.flatMap(({ entry }) => entry === undefined ? [] : [entry])
  const faults = [
    ...outer.map(fault => ({ fault, server: undefined as string | undefined })),
    ...read.flatMap(({ server, faults }) => faults.map(fault => ({ fault, server: server.name }))),
    ...doubledNames(servers ?? []),
    ...doubledPrefixes(entries, servers ?? [])
  ]
  return {
    entries,
    disabled: read.flatMap(({ server, isDisabled }) => isDisabled ? [server.name] : []),
    faults: faults.sort(
      (a, b) => a.fault.offset - b.fault.offset
    ).map(({ fault, server }) => lines.message(fault, server)),
    warnings: read.flatMap(({ server, warnings }) => warnings.map(warning => lines.message(warning, server.name)))
  }
}

const EMPTY = 'an object with "mcpServers"; {"mcpServers": {}} has no servers'

/** A server of the file, by its name here and as it is written. */
interface NamedServer {
  readonly name: string
  readonly written: string
  readonly offset: number
  readonly node: Node
}

function serversOf (section: Section): NamedServer[] | undefined {
  if (!section.has('mcpServers')) {
    section.fault(`"mcpServers" is missing: the file must be ${EMPTY}`)
    return undefined
  }
  const servers = section.section('mcpServers')
  return servers?.entries().map(({ name, offset, node }) => ({ name: serverName(name), written: name, offset, node }))
}

/** The name by which a server is known here: lower case, `-` for what clients write otherwise. */
export function serverName (written: string): string {
  return written.toLowerCase().replace(/[_. ]/g, '-')
}

function doubledNames (servers: readonly NamedServer[]): Array<{ fault: PlacedFault, server: string }> {
  const seen = new Map<string, string>()
  return servers.flatMap(({ name, written, offset }) => {
    const other = seen.get(name)
    seen.set(name, written)
    // The very same name is told where names of one object are.
    return other === undefined || other === written
      ? []
      : [{
          fault: { offset, text: `"${shown(other)}" and "${shown(written)}" are one name here: rename one of them` },
          server: name
        }]
  })
}

/** Tools of two servers under one prefix would fall under each other's permissions. */
function doubledPrefixes (
  entries: readonly UpstreamEntry[], servers: readonly NamedServer[]
): Array<{ fault: PlacedFault, server: string }> {
  const seen = new Map<string, string>()
  return entries.flatMap(({ name, prefix }) => {
    const other = seen.get(prefix)
    if (prefix !== '') seen.set(prefix, name)
    const offset = servers.find(server => server.name === name)?.offset ?? 0
    return other === undefined || other === name
      ? []
      : [{
          fault: {
            offset, text: `has the prefix "${prefix}", which ${other} has, too: give each its own`
          },
          server: name
        }]
  })
}

interface ReadServer {
  readonly entry: UpstreamEntry | undefined
  readonly isDisabled: boolean
  readonly faults: readonly PlacedFault[]
  readonly warnings: readonly PlacedFault[]
}

function readServer ({ name, written, offset, node }: NamedServer, options: FileOptions, lines: Lines): ReadServer {
  const faults: PlacedFault[] = []
  const warnings: PlacedFault[] = []
  if (!NAME.test(name)) {
    faults.push({
      offset,
      text: `"${shown(written)}" cannot be a name: 1 to 24 letters, digits and -, beginning with a letter or digit`
    })
  }
  if (node.type !== 'object') {
    return {
      entry: undefined,
      isDisabled: false,
      faults: [...faults, { offset: node.offset, text: 'must be an object' }],
      warnings
    }
  }
  const section = new Section(node, faults)
  const isDisabled = section.flag('disabled') === true
  const reader: EntryReader = { ...options, section, name, sources: isDisabled ? undefined : options.sources }
  const target = targetOf(reader)
  const own = ownOptions(reader, target)
  if (target?.kind === 'stdio' && !options.stdio && !isDisabled) section.fault(NO_CHILDREN, section.offsetOf('command'))
  // Of a server that cannot be reached as it is written, one fault is enough.
  if (target === undefined) CONNECTING.forEach(name => section.skip(name))
  const ignored: string[] = []
  for (const { value, offset } of section.unread()) {
    if (ONLY_CLIENTS.has(value)) ignored.push(value)
    else section.fault(unknownMember(value), offset)
  }
  if (ignored.length > 0) {
    warnings.push({
      offset,
      text: `${ignored.join(', ')} ${ignored.length === 1 ? 'means' : 'mean'} something to clients only and ${ignored.length === 1 ? 'is' : 'are'} ignored`
    })
  }
  const entry = target === undefined || faults.length > 0
    ? undefined
    : {
        name, line: lines.lineOf(offset), target, ...own, digest: digestOf(target)
      }
  return { entry: isDisabled ? undefined : entry, isDisabled, faults, warnings }
}

const NO_CHILDREN =
  '"command" starts a program on each replica, and STDIO_UPSTREAMS is off: it is on by default only without Redis. ' +
  'Run the server once behind a bridge to HTTP and name its "url", or set STDIO_UPSTREAMS=on if it keeps no state'

function targetOf (reader: EntryReader): StdioTarget | HttpTarget | undefined {
  const { section } = reader
  const type = section.text('type')
  if (section.has('command') && section.has('url')) {
    section.fault('has both "command" and "url": keep the one that is meant', section.offsetOf('url'))
    return undefined
  }
  if (type?.value === 'sse') {
    section.fault(
      'type "sse" is a transport that MCP has given up: name the server\'s Streamable HTTP endpoint (mostly /mcp), or put a bridge in front of it',
      type.offset
    )
    return undefined
  }
  const wanted = type === undefined ? undefined : TYPES.get(type.value)
  if (type !== undefined && wanted === undefined) section.fault('"type" must be "stdio" or "http"', type.offset)
  if (section.has('command')) {
    if (wanted === 'http') section.fault(`type "${type!.value}" needs "url", not "command"`, type!.offset)
    return stdioTarget(reader)
  }
  if (section.has('url')) {
    if (wanted === 'stdio') section.fault('type "stdio" needs "command", not "url"', type!.offset)
    return httpTarget(reader, authOf(reader))
  }
  if (!section.names().some(name => TRANSLATED.has(name))) {
    section.fault('needs "command" (a program) or "url" (Streamable HTTP)')
  }
  return undefined
}

const TYPES: ReadonlyMap<string, 'stdio' | 'http'> = new Map([
  ['stdio', 'stdio'], ['http', 'http'], ['streamable-http', 'http']
])

/** Members that mean nothing outside a client. */
const ONLY_CLIENTS: ReadonlySet<string> = new Set(
  ['alwaysAllow', 'autoApprove', 'trust', 'dev', 'gallery', 'description']
)

/** Members that one client or another spells so; `servers import` knows which. */
const TRANSLATED: ReadonlySet<string> = new Set([
  'httpUrl', 'serverUrl', 'envFile', 'timeout', 'enabled', 'enabled_tools', 'disabled_tools', 'includeTools',
  'excludeTools', 'disabledTools', 'allowedTools', 'bearer_token_env_var', 'http_headers', 'env_http_headers',
  'env_vars', 'tool_timeout_sec', 'startup_timeout_sec', 'startup_timeout_ms', 'headersHelper', 'oauth', 'transport',
  'transportType', 'disabledToolsList', 'networkTimeout', 'requestInit'
])

const CONNECTING = ['type', 'command', 'args', 'env', 'cwd', 'url', 'headers', 'forwardHeaders', 'auth', 'network']

const KNOWN_MEMBERS = [
  ...CONNECTING, 'disabled', 'prefix', 'tools', 'uris', 'share', 'questions', 'protocol', 'timeoutMs', 'startTimeoutMs',
  'maxInFlight', 'maxAnswerBytes', 'maxTools', 'output', 'pin', 'exempt', 'cost', 'rate'
]

function unknownMember (name: string): string {
  if (TRANSLATED.has(name)) {
    return `"${name}" is how a client spells it, and clients differ: let servers import translate the client's own file`
  }
  if (KNOWN_MEMBERS.includes(name)) {
    return `"${name}" does not go with ${['command', 'args', 'env', 'cwd'].includes(name) ? '"url"' : '"command"'}`
  }
  const meant = nearest(name, KNOWN_MEMBERS)
  return `"${shown(name)}" is no member of a server${meant === undefined ? '' : `; is "${meant}" meant?`}`
}

function unknownOutside (name: string): string {
  const meant = nearest(name, ['mcpServers'])
  if (meant !== undefined) return `"${shown(name)}" is no member of this file; is "mcpServers" meant?`
  return `"${shown(name)}" is no member of this file; a client's own file goes through: servers import`
}

/** What names the server, without what its environment or its headers hold. */
function digestOf (target: StdioTarget | HttpTarget): string {
  const named = target.kind === 'stdio'
    ? [target.command, target.args, [...target.env.keys()].sort()]
    : [target.url.href, [...target.headers.keys()].sort()]
  return createHash('sha256').update(JSON.stringify(named)).digest('hex').slice(0, 16)
}

/** Lines of a text by offset. */
class Lines {
  readonly #path: string
  readonly #starts: number[] = [0]

  constructor (text: string, path: string) {
    this.#path = path
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) this.#starts.push(at + 1)
  }

  lineOf (offset: number): number {
    let line = this.#starts.length
    while (line > 1 && this.#starts[line - 1]! > offset) line--
    return line
  }

  message ({ offset, text }: PlacedFault, server?: string): string {
    return `${this.#path}:${this.lineOf(offset)}: ${server === undefined ? '' : `${shown(server)}: `}${text}`
  }
}

function notJson (text: string, error: ParseError | undefined): PlacedFault {
  if (error === undefined) return { offset: 0, text: `is empty: it must be ${EMPTY}` }
  const what = printParseErrorCode(error.error).replace(/([a-z])([A-Z])/g, '$1 $2').toLowerCase()
  // A missing comma or brace belongs to the end of what stands before it.
  const before = text.slice(0, error.offset).trimEnd().length
  return { offset: /expected/.test(what) ? Math.max(0, before - 1) : error.offset, text: `is not JSON: ${what}` }
}
