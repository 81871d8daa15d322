/** The table of methods: what each may hold, what it names, and by which ways it is served. */
import {
  CLIENT_CAPABILITIES_META_KEY,
  CLIENT_INFO_META_KEY,
  LOG_LEVEL_META_KEY,
  PROTOCOL_VERSION_META_KEY
} from './sdk/protocol.ts'
import type { Kind, Target } from '../core/permissions.ts'
import {
  answerObject,
  anyObject,
  flag,
  hint,
  isObject,
  listOf,
  Misread,
  object,
  oneOf,
  record,
  text,
  token,
  type Json,
  type Read
} from './members.ts'

/** Revisions with a handshake, and those in which each request says all that it needs. */
export type Era = 'legacy' | 'modern'

export interface Method {
  readonly eras: readonly Era[]
  /** Reads its params. */
  readonly read: Readonly<Record<Era, Read>>
  /** What its params name, for authorization before look-up. */
  readonly target: (params: Json) => Target | undefined
  /** The member of its params that the header Mcp-Name repeats. */
  readonly mirrored: 'name' | 'uri' | undefined
  /** Where the fast lane may answer it. */
  readonly fast: readonly Era[]
  /** Over stdio: may be asked by a client that has not shown who it is. */
  readonly open: boolean
}

/** A row of the table as it is written. */
interface Row extends Partial<Omit<Method, 'read'>> {
  /** Members of its params; those with a `!` must be given. */
  params?: Readonly<Record<string, Read>>
  /** Fills in what clients leave out. */
  complete?: (params: Json) => Json
  /** It may ask the client before it answers: the request comes again with the answers. */
  asks?: boolean
}

/** As severe as the protocol knows them, the least first. */
export const LEVELS = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'] as const

const BOTH: readonly Era[] = ['legacy', 'modern']
const LEGACY: readonly Era[] = ['legacy']
const MODERN: readonly Era[] = ['modern']

/** More than any stream honours. */
const MAX_URIS = 10_000

const level = oneOf(...LEVELS)

/** No list here has a second page, so no cursor can come back. Some clients write an empty one for the first. */
const cursor: Read = (value, path) => {
  if (value !== '') throw new Misread(path, 'be absent: every list here has one page')
  return undefined
}

/**
 * What a client says that it can do: of the parts that are known what is known of them, in the forms that the
 * SDK takes.
 */
const capabilities = object({
  roots: object({ listChanged: flag }),
  sampling: object({ context: answerObject, tools: answerObject }),
  elicitation: object({ form: object({ applyDefaults: flag }), url: answerObject }),
  experimental: record(answerObject),
  extensions: record(answerObject)
})

const UNNAMED = { name: 'unknown', version: 'unknown' }
const namedClient = object({ name: text, title: text, version: text })
/** Only ever shown: a client that leaves out a part of it is served. */
const clientInfo: Read = (value, path) => {
  const given = namedClient(value, path) as Json
  return given.name === undefined || given.version === undefined ? { ...UNNAMED, ...given } : given
}

const promptReference = object({ 'type!': text, 'name!': text, title: text })
const resourceReference = object({ 'type!': oneOf('ref/prompt', 'ref/resource'), 'uri!': text })
const reference: Read = (value, path) =>
  isObject(value) && value.type === 'ref/prompt' ? promptReference(value, path) : resourceReference(value, path)

const subscription = object({
  toolsListChanged: flag,
  promptsListChanged: flag,
  resourcesListChanged: flag,
  resourceSubscriptions: listOf(text, MAX_URIS)
})

/** Nothing depends on the trace of a caller, so one in a wrong form is none. */
const META = { progressToken: token, traceparent: hint, tracestate: hint, baggage: hint }
const META_OF: Readonly<Record<Era, Read>> = {
  legacy: object(META),
  modern: object({
    ...META,
    [`${PROTOCOL_VERSION_META_KEY}!`]: text,
    [`${CLIENT_CAPABILITIES_META_KEY}!`]: capabilities,
    [CLIENT_INFO_META_KEY]: clientInfo,
    [LOG_LEVEL_META_KEY]: level
  })
}
const ANSWERS = { inputResponses: record(answerObject), requestState: text }

const METHODS: ReadonlyMap<string, Method> = new Map(
  Object.entries<Row>({
    initialize: {
      eras: LEGACY,
      params: { 'protocolVersion!': text, capabilities, clientInfo },
      complete: given =>
        given.capabilities === undefined || given.clientInfo === undefined
          ? { capabilities: {}, clientInfo: UNNAMED, ...given }
          : given,
      fast: LEGACY,
      open: true
    },
    ping: { eras: LEGACY, fast: LEGACY, open: true },
    'server/discover': { eras: MODERN, fast: MODERN, open: true },
    'tools/list': { params: { cursor }, fast: BOTH },
    'tools/call': {
      params: { 'name!': text, arguments: anyObject },
      asks: true,
      target: at('tool', 'name'),
      mirrored: 'name',
      fast: BOTH
    },
    'prompts/list': { params: { cursor }, fast: BOTH },
    'prompts/get': {
      params: { 'name!': text, arguments: record(text) }, asks: true, target: at('prompt', 'name'), mirrored: 'name'
    },
    'resources/list': { params: { cursor }, fast: BOTH },
    'resources/templates/list': { params: { cursor }, fast: BOTH },
    'resources/read': { params: { 'uri!': text }, asks: true, target: at('resource', 'uri'), mirrored: 'uri' },
    'resources/subscribe': { eras: LEGACY, params: { 'uri!': text }, target: at('resource', 'uri') },
    'resources/unsubscribe': { eras: LEGACY, params: { 'uri!': text }, target: at('resource', 'uri') },
    'completion/complete': {
      params: {
        'ref!': reference,
        'argument!': object({ 'name!': text, 'value!': text }),
        context: object({ arguments: record(text) })
      },
      target: referred
    },
    'logging/setLevel': { eras: LEGACY, params: { 'level!': level } },
    'subscriptions/listen': { eras: MODERN, params: { 'notifications!': subscription } }
  }).map(([name, row]) => [name, methodFrom(row)])
)

/** Notifications of clients. None changes what is answered; those that are not here are taken and dropped. */
const NOTIFICATIONS: ReadonlySet<string> = new Set([
  'notifications/initialized', 'notifications/cancelled', 'notifications/progress', 'notifications/roots/list_changed'
])

/** What is known of a method; undefined for one that is not. */
export function methodOf (name: string): Method | undefined {
  return METHODS.get(name)
}

/**
 * A method's name for logs and metrics: a caller may write anything there, a secret too, so only known ones
 * are repeated.
 */
export function knownMethod (name: string): string {
  return METHODS.has(name) || NOTIFICATIONS.has(name) ? name : 'other'
}

/** What the message names; undefined for methods that name nothing, such as the lists. */
export function targetOf (method: string, params: unknown): Target | undefined {
  return isObject(params) ? METHODS.get(method)?.target(params) : undefined
}

function methodFrom ({
  eras = BOTH, params = {}, complete, asks = false, target = () => undefined, mirrored, fast = [], open = false
}: Row): Method {
  const readIn = (era: Era): Read => {
    const read = object({ ...params, ...(asks && era === 'modern' ? ANSWERS : {}), _meta: META_OF[era] })
    return complete === undefined ? read : (value, path) => complete(read(value, path) as Json)
  }
  return { eras, read: { legacy: readIn('legacy'), modern: readIn('modern') }, target, mirrored, fast, open }
}

function at (kind: Kind, member: 'name' | 'uri'): Method['target'] {
  return params => named(kind, params[member])
}

function referred ({ ref }: Json): Target | undefined {
  if (!isObject(ref)) return undefined
  return ref.type === 'ref/prompt'
    ? named('prompt', ref.name)
    : ref.type === 'ref/resource'
      ? named('resource', ref.uri)
      : undefined
}

function named (kind: Kind, name: unknown): Target | undefined {
  return typeof name === 'string' ? { kind, name } : undefined
}
