/** A client of either era that hides nothing: what is answered is given back as it came. */
import { createParser } from 'eventsource-parser'

export type Json = Readonly<Record<string, unknown>>
export interface Answered {
  readonly result?: Json
  readonly error?: unknown
  /** What came before the answer on its stream. */
  readonly before: readonly Json[]
}

const CLIENT = { name: 'measure', version: '1' }
const MODERN = '2026-07-28'
const NAMED: Readonly<Record<string, string>> = { 'tools/call': 'name', 'prompts/get': 'name', 'resources/read': 'uri' }

export class Asker {
  readonly #url: string
  readonly #era: '2025' | '2026'
  readonly #headers: Readonly<Record<string, string>>
  #session: Promise<string | null> | undefined
  #last = 0

  constructor (url: string, { era, headers }: { era: '2025' | '2026', headers: Readonly<Record<string, string>> }) {
    this.#url = url
    this.#era = era
    this.#headers = headers
  }

  async ask (method: string, params: Json = {}): Promise<Answered> {
    if (this.#era === '2026') {
      const _meta = { ...params._meta as Json | undefined, 'io.modelcontextprotocol/protocolVersion': MODERN, 'io.modelcontextprotocol/clientCapabilities': {}, 'io.modelcontextprotocol/clientInfo': CLIENT }
      const name = params[NAMED[method] ?? '']
      const headers = { 'mcp-protocol-version': MODERN, 'mcp-method': method, ...(typeof name === 'string' ? { 'mcp-name': name } : {}) }
      return (await this.#post({ method, params: { ...params, _meta } }, headers)).answered
    }
    this.#session ??= this.#begin()
    const session = await this.#session
    return (await this.#post({ method, params }, { 'mcp-protocol-version': '2025-11-25', ...(session === null ? {} : { 'mcp-session-id': session }) })).answered
  }

  /** Every page of a list. @param what also `resources/templates` */
  async list (what: 'tools' | 'prompts' | 'resources' | 'resources/templates'): Promise<Json[]> {
    const member = what === 'resources/templates' ? 'resourceTemplates' : what
    const all: Json[] = []
    let cursor: unknown
    do {
      const { result = {}, error } = await this.ask(`${what}/list`, cursor === undefined ? {} : { cursor })
      if (error !== undefined) throw new Error(`${what}/list: ${JSON.stringify(error)}`)
      all.push(...result[member] as Json[])
      cursor = result.nextCursor
    } while (cursor !== undefined)
    return all
  }

  async #begin (): Promise<string | null> {
    const { session } = await this.#post({ method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: CLIENT } }, {})
    const headers = { ...this.#headers, 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...(session === null ? {} : { 'mcp-session-id': session }) }
    const response = await fetch(this.#url, { method: 'POST', headers, body: JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' }) })
    await response.text()
    return session
  }

  async #post (message: Json, more: Record<string, string>): Promise<{ answered: Answered, session: string | null }> {
    const id = ++this.#last
    const headers = { ...this.#headers, 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...more }
    const response = await fetch(this.#url, { method: 'POST', headers, body: JSON.stringify({ jsonrpc: '2.0', id, ...message }) })
    const messages = messagesOf(await response.text(), response.headers.get('content-type') ?? '')
    const answer = messages.find(message => message.id === id)
    if (answer === undefined) throw new Error(`HTTP ${response.status} without an answer to ${String(message.method)}`)
    const { result, error } = answer as { result?: Json, error?: unknown }
    return {
      answered: { before: messages.filter(message => message !== answer), ...(result === undefined ? {} : { result }), ...(error === undefined ? {} : { error }) },
      session: response.headers.get('mcp-session-id')
    }
  }
}

function messagesOf (text: string, type: string): Json[] {
  if (!type.startsWith('text/event-stream')) return [JSON.parse(text) as Json]
  const messages: Json[] = []
  const parser = createParser({ onEvent: ({ data }) => { if (data !== '') messages.push(JSON.parse(data) as Json) } })
  parser.feed(text)
  return messages
}
