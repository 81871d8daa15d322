/** An MCP server that does as it is told, odd and hostile things too, in both eras: over a wire in memory, as a child, or over HTTP. */
import { setTimeout as sleep } from 'node:timers/promises'

export type Members = Record<string, unknown>

export interface Received {
  jsonrpc?: string
  id?: string | number
  method?: string
  params?: Members
  result?: Members
  error?: { code: number, message: string, data?: unknown }
}

/** What a scripted tool may do beside returning its result. */
export interface Hands {
  readonly params: Members
  readonly id: string | number
  /** A message of whatever form, on the exchange of this request. */
  send (message: unknown): void
  /** Text as it is, for what is no message. */
  sendText (text: string): void
  /** Ask the client, and wait for the answer. */
  ask (method: string, params: Members): Promise<Received>
  readonly server: ScriptedUpstream
}

export interface ScriptedTool {
  readonly listed: Members
  /** Undefined: no answer. */
  run (hands: Hands): Members | undefined | Promise<Members | undefined>
}

export interface Script {
  readonly era?: 'legacy' | 'modern' | 'both'
  readonly version?: string
  readonly capabilities?: Members
  readonly tools?: readonly ScriptedTool[]
  readonly prompts?: readonly Members[]
  readonly resources?: readonly Members[]
  readonly templates?: readonly Members[]
  /** In the place of its own answer to a method; undefined as a result: no answer. */
  readonly answers?: Readonly<Record<string, (hands: Hands) => Members | undefined | Promise<Members | undefined>>>
}

export const text = (said: string): Members => ({ content: [{ type: 'text', text: said }] })
const schema = (properties: Members = {}): Members => ({ type: 'object', properties })
export const tool = (name: string, run: ScriptedTool['run'], more: Members = {}): ScriptedTool =>
  ({ listed: { name, description: `${name} of a script`, inputSchema: schema(), ...more }, run })
const argumentsOf = ({ params }: Hands): Members => (params.arguments ?? {}) as Members

/** Thrown by a tool: an error of JSON-RPC. */
export class Fault extends Error {
  readonly code: number
  readonly data: unknown
  constructor (code: number, message: string, data?: unknown) {
    super(message)
    this.code = code
    this.data = data
  }
}

export const TOOLS: readonly ScriptedTool[] = [
  tool('echo', hands => text(String(argumentsOf(hands).text)), { title: 'Says it again', inputSchema: { ...schema({ text: { type: 'string' } }), required: ['text'] }, icons: [{ src: 'data:,' }] }),
  tool('wait', async hands => { await sleep(Number(argumentsOf(hands).ms)); return text('waited') }, { inputSchema: schema({ ms: { type: 'number' } }) }),
  tool('hang', () => undefined),
  tool('crash', () => { process.exit(7) }),
  tool('fail', () => ({ ...text('it did not work'), isError: true })),
  tool('fault', hands => { throw new Fault(Number(argumentsOf(hands).code), 'a fault of a script', { hint: 'data' }) }, { inputSchema: schema({ code: { type: 'number' } }) }),
  tool('big', hands => text('x'.repeat(Number(argumentsOf(hands).bytes))), { inputSchema: schema({ bytes: { type: 'number' } }) }),
  tool('structured', hands => ({ ...text('see'), structuredContent: argumentsOf(hands).give === true ? { n: 1 } : { n: 'one' } }), { inputSchema: schema({ give: { type: 'boolean' } }), outputSchema: { ...schema({ n: { type: 'number' } }), required: ['n'] } }),
  tool('progress', hands => {
    const token = (hands.params._meta as Members | undefined)?.progressToken
    for (const progress of [1, 2, 2, 1, 3]) hands.send({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: token, progress, total: 3 } })
    hands.send({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: Number(token) + 1, progress: 9 } })
    return text('done')
  }),
  tool('ask', async hands => text(JSON.stringify(await hands.ask('elicitation/create', { message: 'Who?', requestedSchema: { type: 'object', properties: { name: { type: 'string' } } } })))),
  tool('count', hands => text(String(hands.server.calls.get('count'))))
]

export class ScriptedUpstream {
  readonly script: Script
  /** Calls of each tool. */
  readonly calls = new Map<string, number>()
  /** Everything that came. */
  readonly received: Received[] = []
  readonly #waiting = new Map<string | number, (answer: Received) => void>()
  #lastId = 0

  constructor (script: Script = {}) {
    this.script = script
  }

  get tools (): readonly ScriptedTool[] { return this.script.tools ?? TOOLS }
  get capabilities (): Members { return this.script.capabilities ?? { tools: { listChanged: true }, prompts: {}, resources: { subscribe: true }, completions: {} } }

  /** @param sendText puts a text on the way back, on the exchange of this message */
  async receive (message: Received, sendText: (text: string) => void): Promise<void> {
    this.received.push(message)
    const { id, method, params = {} } = message
    if (method === undefined) {
      this.#waiting.get(id!)?.(message)
      return
    }
    if (id === undefined) return
    const send = (what: unknown) => sendText(JSON.stringify(what))
    const ask = (method: string, params: Members): Promise<Received> => new Promise(resolve => {
      const own = `q${++this.#lastId}`
      this.#waiting.set(own, resolve)
      send({ jsonrpc: '2.0', id: own, method, params })
    })
    try {
      const result = await this.#answer(method, { params, id, send, sendText, ask, server: this })
      if (result !== undefined) send({ jsonrpc: '2.0', id, result })
    } catch (error) {
      const { code, message, data } = error instanceof Fault ? error : new Fault(-32603, String(error))
      send({ jsonrpc: '2.0', id, error: { code, message, ...(data === undefined ? {} : { data }) } })
    }
  }

  async #answer (method: string, hands: Hands): Promise<Members | undefined> {
    const { era = 'legacy', version, answers, prompts = [], resources = [], templates = [] } = this.script
    if (answers !== undefined && Object.hasOwn(answers, method)) return await answers[method]!(hands)
    const complete = era === 'legacy' ? {} : { resultType: 'complete', ttlMs: 60_000, cacheScope: 'public', _meta: { 'io.modelcontextprotocol/serverInfo': { name: 'scripted', version: '1' } } }
    switch (method) {
      case 'initialize':
        if (era === 'modern') throw new Fault(-32601, 'Method not found')
        return { protocolVersion: version ?? hands.params.protocolVersion, capabilities: this.capabilities, serverInfo: { name: 'scripted', version: '1' } }
      case 'server/discover':
        if (era === 'legacy') throw new Fault(-32601, 'Method not found')
        return { supportedVersions: [version ?? '2026-07-28'], capabilities: this.capabilities, ...complete }
      case 'ping': return {}
      case 'tools/list': return { tools: this.tools.map(({ listed }) => listed), ...complete }
      case 'prompts/list': return { prompts: [...prompts], ...complete }
      case 'resources/list': return { resources: [...resources], ...complete }
      case 'resources/templates/list': return { resourceTemplates: [...templates], ...complete }
      case 'resources/read': return { contents: [{ uri: hands.params.uri, text: `contents of ${String(hands.params.uri)}` }], ...complete }
      case 'prompts/get': return { description: 'a prompt', messages: [{ role: 'user', content: { type: 'text', text: JSON.stringify(hands.params.arguments) } }], ...complete }
      case 'completion/complete': return { completion: { values: ['one', 'two'], total: 7, hasMore: true } }
      case 'tools/call': {
        const found = this.tools.find(({ listed }) => listed.name === hands.params.name)
        if (found === undefined) throw new Fault(-32602, `Unknown tool: ${String(hands.params.name)}`)
        this.calls.set(String(hands.params.name), (this.calls.get(String(hands.params.name)) ?? 0) + 1)
        const result = await found.run(hands)
        return result === undefined ? undefined : { ...complete, ...result }
      }
      default: throw new Fault(-32601, 'Method not found')
    }
  }
}
