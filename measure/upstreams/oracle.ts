/** Generated answers of upstreams, given as the same bytes to our lane and to the SDK's client: neither may say what the other does not. */
import { isDeepStrictEqual } from 'node:util'
import { Client, deserializeMessage, ProtocolError, type Transport } from '@modelcontextprotocol/client'
import { isMembers, UpstreamFault } from '../../src/upstreams/messages.ts'
import { Peer } from '../../src/upstreams/peer.ts'
import { completionOf, passedOn, promptResultOf, readResultOf, toolResultOf } from '../../src/upstreams/relay.ts'
import type { Wire } from '../../src/upstreams/wire.ts'
import fc from '../../test/support/fast-check.ts'

type Json = Readonly<Record<string, unknown>>
type Era = '2025' | '2026'

/** What becomes of an answer. */
type Outcome = { readonly kind: 'result', readonly result: unknown } | { readonly kind: 'error', readonly code: number, readonly message: string, readonly data: unknown } | { readonly kind: 'refused', readonly why: string }

export interface Compared {
  readonly compared: number
  /** Both gave the same result or error. */
  same: number
  /** Ours passes on members that the SDK drops, and is the same otherwise. */
  kept: number
  /** Both refused. */
  refused: number
  /** Ours answers what the SDK refuses. */
  lenient: number
  /** Ours refuses for a bound that the SDK has not. */
  bounded: number
  readonly unexplained: string[]
}

/** A text of an answer, for the id of its question. */
interface Answer {
  readonly method: Method
  readonly text: (id: unknown) => string
  /** It breaks a bound of ours: depth, number of elements, names in the envelope. */
  readonly breaksBound: boolean
}

const METHODS: Readonly<Record<Method, { readonly params: Json, readonly read: (result: Json) => object }>> = {
  'tools/call': { params: { name: 't', arguments: {} }, read: (result: Json) => toolResultOf(result, undefined) },
  'prompts/get': { params: { name: 'p' }, read: promptResultOf },
  'resources/read': { params: { uri: 'x://y' }, read: readResultOf },
  'completion/complete': { params: { ref: { type: 'ref/prompt', name: 'p' }, argument: { name: 'a', value: '' } }, read: completionOf }
}
type Method = 'tools/call' | 'prompts/get' | 'resources/read' | 'completion/complete'

const word = fc.oneof(fc.string({ maxLength: 12 }), fc.string({ unit: 'grapheme', maxLength: 12 }), fc.constantFrom('', '\u0000', '\ud83d\ude00', '</script>'))
const wrong = fc.oneof(fc.constant(null), fc.integer(), fc.boolean(), fc.constant([]), fc.constant({}), fc.constant('x'))
const extra = fc.dictionary(fc.constantFrom('x', 'annotations', '_meta', 'title', 'size', 'toString', 'constructor'), fc.oneof(word, fc.constant({}), fc.constant({ audience: ['user'], priority: 0.5 }), fc.constant({ 'a.b/c': 1 })), { maxKeys: 2 })
const resource = fc.oneof(
  fc.record({ uri: fc.constant('a://b'), text: word, mimeType: fc.constant('text/plain') }),
  fc.record({ uri: fc.constant('a://b'), blob: fc.constantFrom('aGk=', '') }),
  fc.record({ uri: fc.oneof(fc.constant('a://b'), wrong) }),
  wrong
)
const BASE64 = fc.constantFrom('aGk=', '', 'aGk')
const part = fc.tuple(fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constant('text'), text: word }) },
  fc.record({ type: fc.constantFrom('image', 'audio'), data: BASE64, mimeType: fc.constant('image/png') }),
  fc.record({ type: fc.constant('resource_link'), uri: fc.constant('a://b'), name: word }),
  fc.record({ type: fc.constant('resource'), resource })
), extra).map(([own, more]) => ({ ...more, ...own }))
const brokenPart = fc.oneof(wrong, fc.tuple(part, fc.constantFrom('type', 'text', 'data', 'mimeType', 'uri', 'name', 'resource'), fc.option(wrong, { nil: undefined })).map(([one, name, value]) => {
  return Object.fromEntries(Object.entries({ ...one, [name]: value }).filter(([, member]) => member !== undefined))
}))
const mostly = <T, U>(good: fc.Arbitrary<T>, bad: fc.Arbitrary<U>) => fc.oneof({ weight: 12, arbitrary: good as fc.Arbitrary<T | U> }, { weight: 1, arbitrary: bad as fc.Arbitrary<T | U> })
const optional = { requiredKeys: [] }
const meta = fc.dictionary(fc.constantFrom('io.modelcontextprotocol/serverInfo', 'io.modelcontextprotocol/related-task', 'vendor/x', 'progressToken'), fc.oneof(word, fc.constant({ name: 'n', version: '1' }), fc.constant({ taskId: 't' })), { maxKeys: 2 })
const hop = { resultType: fc.constantFrom('complete'), ttlMs: fc.integer({ min: 0, max: 1000 }), cacheScope: fc.constantFrom('public', 'private') }

const RESULTS: Readonly<Record<Method, fc.Arbitrary<object>>> = {
  'tools/call': fc.record({
    content: mostly(fc.array(mostly(part, brokenPart), { maxLength: 3 }), wrong),
    structuredContent: mostly(fc.dictionary(word, fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3 }), wrong),
    isError: mostly(fc.boolean(), wrong),
    _meta: mostly(meta, wrong),
    x: word,
    ...hop
  }, optional),
  'prompts/get': fc.record({
    messages: mostly(fc.array(fc.record({ role: mostly(fc.constantFrom('user', 'assistant'), wrong), content: mostly(part, brokenPart) }), { maxLength: 2 }), wrong),
    description: mostly(word, wrong),
    _meta: meta,
    ...hop
  }, optional),
  'resources/read': fc.record({ contents: mostly(fc.array(resource, { maxLength: 3 }), wrong), _meta: meta, ...hop }, optional),
  'completion/complete': fc.record({
    completion: mostly(fc.record({ values: mostly(fc.array(word, { maxLength: 4 }), wrong), total: mostly(fc.nat(), wrong), hasMore: mostly(fc.boolean(), wrong) }, optional), wrong),
    ...hop
  }, optional)
}

const error = fc.record({ code: mostly(fc.constantFrom(-32602, -32000, -32603, -32601, 401, 0), fc.constantFrom(1.5, '1', null)), message: mostly(word, wrong), data: fc.jsonValue({ maxDepth: 2 }) }, { requiredKeys: ['code'] })

const envelope = (result: fc.Arbitrary<object>) => fc.oneof(
  { weight: 14, arbitrary: result.map(result => (id: unknown) => ({ jsonrpc: '2.0', id, result })) },
  { weight: 3, arbitrary: error.map(error => (id: unknown) => ({ jsonrpc: '2.0', id, error })) },
  { weight: 3, arbitrary: fc.tuple(result, error, fc.constantFrom(...ODD)).map(([result, error, odd]) => (id: unknown) => odd({ id, result, error })) }
)
type Parts = { id: unknown, result: object, error: object }
const ODD: ReadonlyArray<(parts: Parts) => unknown> = [
  ({ id, result }) => ({ jsonrpc: '2.0', id: String(id), result }),
  ({ result }) => ({ jsonrpc: '2.0', id: null, result }),
  ({ result }) => ({ jsonrpc: '2.0', result }),
  ({ id, result }) => ({ id, result }),
  ({ id, result }) => ({ jsonrpc: '1.0', id, result }),
  ({ id, result, error }) => ({ jsonrpc: '2.0', id, result, error }),
  ({ id, result }) => ({ jsonrpc: '2.0', id, result, more: 1 }),
  ({ id, result }) => ({ jsonrpc: '2.0', id, method: 'x', result }),
  ({ id, result }) => [{ jsonrpc: '2.0', id, result }],
  ({ id }) => ({ jsonrpc: '2.0', id, result: [] }),
  ({ id }) => ({ jsonrpc: '2.0', id, result: null }),
  ({ id }) => ({ jsonrpc: '2.0', id, result: 'x' }),
  ({ id }) => ({ jsonrpc: '2.0', id }),
  ({ id, result }) => ({ jsonrpc: '2.0', id: Number(id) + 1000, result }),
  ({ id, error }) => ({ jsonrpc: '2.0', id: String(id), error })
]

/** Done to the text of a message. */
const SPOIL: ReadonlyArray<(text: string) => { text: string, breaksBound?: boolean }> = [
  text => ({ text: text.slice(0, -1) }),
  text => ({ text: `${text}}` }),
  text => ({ text: ` ${text} \r` }),
  text => ({ text: text.replace(/^\{/, '{"id":7,'), breaksBound: true }),
  text => ({ text: text.replace(/\}$/, `,"deep":${'['.repeat(80)}${']'.repeat(80)}}`), breaksBound: true }),
  text => ({ text: text.replace(/\}$/, `,"many":[${'1,'.repeat(100_001)}1]}`), breaksBound: true }),
  text => ({ text: text.replace(/\}$/, ',"__proto__":{"isError":true}}'), breaksBound: true })
]

const spoilt = fc.oneof({ weight: 12, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.nat({ max: SPOIL.length - 1 }) })
const answer: fc.Arbitrary<Answer> = fc.oneof(...(Object.keys(METHODS) as Method[]).map(method => fc.tuple(envelope(RESULTS[method]), spoilt).map(([message, spoil]): Answer => {
  const written = (id: unknown) => {
    const text = JSON.stringify(message(id))
    return spoil === undefined ? { text } : SPOIL[spoil]!(text)
  }
  const { text, breaksBound = false } = written(1) as { text: string, breaksBound?: boolean }
  return { method, text: id => written(id).text, breaksBound: breaksBound || text.includes('"__proto__":') }
})))

/** @param count answers for each era */
export async function compareAnswers (count: number): Promise<Compared> {
  const found: Compared = { compared: 2 * count, same: 0, kept: 0, refused: 0, lenient: 0, bounded: 0, unexplained: [] }
  for (const era of ['2025', '2026'] as const) {
    const [ours, theirs] = [new Lane(), await SdkLane.open(era)]
    for (const one of fc.sample(answer, count)) judge(found, { era, one, ours: await ours.give(one), theirs: await theirs.give(one) })
    await theirs.close()
  }
  return found
}

function judge (found: Compared, { era, one, ours, theirs }: { era: Era, one: Answer, ours: Outcome, theirs: Outcome }): void {
  if (ours.kind === 'refused' && theirs.kind === 'refused') found.refused++
  else if (isDeepStrictEqual(ours, theirs)) found.same++
  else if (theirs.kind === 'refused') found.lenient++
  else if (ours.kind === 'result' && theirs.kind === 'result' && holds(ours.result, theirs.result)) found.kept++
  else if (ours.kind === 'refused' && one.breaksBound) found.bounded++
  else found.unexplained.push(`${era} ${one.method} ${cut(one.text(1))}: ours ${cut(ours)}, theirs ${cut(theirs)}`)
}

/** Revision 2026-07-28 lets structuredContent be any value; a client of 2025 would refuse the result, so it is left out. */
function forBothEras ({ structuredContent, ...result }: Json): Json {
  return isMembers(structuredContent) ? { ...result, structuredContent } : result
}

/** Whether everything of `less` stands in `more`, too. */
function holds (more: unknown, less: unknown): boolean {
  if (typeof less !== 'object' || less === null || typeof more !== 'object' || more === null) return Object.is(more, less)
  if (Array.isArray(less) !== Array.isArray(more) || (Array.isArray(less) && less.length !== (more as unknown[]).length)) return false
  return Object.entries(less).every(([name, value]) => Object.hasOwn(more, name) && holds((more as Json)[name], value))
}

const cut = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value)).slice(0, 400)
/** As it would be written: members that are undefined are none. */
const written = (value: unknown): unknown => value === undefined ? undefined : JSON.parse(JSON.stringify(value))
/** Whoever has not answered when all that was said is read does not answer. */
const readThrough = async () => { for (let i = 0; i < 2; i++) await new Promise(resolve => setImmediate(resolve)) }
const SILENT: Outcome = { kind: 'refused', why: 'no answer' }

class Lane {
  readonly #wire: Wire = { send: text => { this.#sent = JSON.parse(text) as Json }, abandon () {}, async close () {}, onText: () => false, onTooLarge () {}, onClose () {} }
  readonly #peer = new Peer(this.#wire, { onNotification () {}, onQuestion: async () => ({}), onClose () {} })
  #sent: Json = {}

  async give ({ method, text }: Answer): Promise<Outcome> {
    const { params, read } = METHODS[method]
    const gone = new AbortController()
    const asked = this.#peer.ask(method, params, { deadlineMs: 60_000, signal: gone.signal }).then((result): Outcome => {
      const own = read(result)
      if ('fault' in own) return { kind: 'refused', why: String(own.fault) }
      return { kind: 'result', result: written(method === 'completion/complete' ? { completion: own } : own) }
    }, (error: unknown): Outcome => error instanceof UpstreamFault
      ? { kind: 'error', code: error.code, message: error.message, data: written(error.data) }
      : { kind: 'refused', why: (error as Error).message })
    this.#wire.onText(text(this.#sent.id))
    const outcome = await Promise.race([asked, readThrough()])
    gone.abort()
    return outcome ?? SILENT
  }
}

class SdkLane {
  readonly #client: Client
  #sent: Json = {}
  readonly #transport: Transport = { start: async () => {}, close: async () => {}, send: async message => { this.#heard(message as Json) } }

  constructor (era: Era) {
    const mode = era === '2026' ? { pin: '2026-07-28' } : 'legacy'
    this.#client = new Client({ name: 'oracle', version: '1' }, { versionNegotiation: { mode } })
  }

  static async open (era: Era): Promise<SdkLane> {
    const lane = new SdkLane(era)
    await lane.#client.connect(lane.#transport)
    return lane
  }

  async close (): Promise<void> {
    await this.#client.close()
  }

  async give ({ method, text }: Answer): Promise<Outcome> {
    const gone = new AbortController()
    const asked = this.#client.request({ method, params: METHODS[method].params }, { signal: gone.signal, timeout: 60_000 }).then((result): Outcome => {
      return { kind: 'result', result: written(forBothEras(passedOn(result as Json))) }
    }, (error: unknown): Outcome => error instanceof ProtocolError
      ? { kind: 'error', code: error.code, message: error.message, data: written(error.data) }
      : { kind: 'refused', why: String((error as Error).message) })
    try {
      this.#transport.onmessage?.(deserializeMessage(text(this.#sent.id)))
    } catch { /* as its transports do: told to onerror, and read on */ }
    const outcome = await Promise.race([asked, readThrough()])
    gone.abort()
    await asked
    return outcome ?? SILENT
  }

  /** The handshake is answered here; what is asked then is kept. */
  #heard (message: Json): void {
    const capabilities = { tools: {}, prompts: {}, resources: {}, completions: {} }
    const result = message.method === 'initialize'
      ? { protocolVersion: '2025-11-25', capabilities, serverInfo: { name: 's', version: '1' } }
      : message.method === 'server/discover'
        ? { supportedVersions: ['2026-07-28'], capabilities, resultType: 'complete', ttlMs: 0, cacheScope: 'private', _meta: { 'io.modelcontextprotocol/serverInfo': { name: 's', version: '1' } } }
        : undefined
    if (result !== undefined) queueMicrotask(() => this.#transport.onmessage?.(deserializeMessage(JSON.stringify({ jsonrpc: '2.0', id: message.id, result }))))
    else if (message.method !== 'notifications/cancelled') this.#sent = message
  }
}
