/** A scripted server over Streamable HTTP: sessions in the older era, an event stream for each answer where it wants one. */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { ScriptedUpstream, type Received, type Script } from './scripted-upstream.ts'

export interface HttpUpstream {
  readonly url: string
  readonly server: ScriptedUpstream
  /** Heads of requests, in the order in which they came. */
  readonly heads: Array<IncomingMessage['headers']>
  /** Sessions that it knows; forget them to lose them. */
  readonly sessions: Set<string>
  /** Streams on which it may speak by itself: those of GET. */
  readonly own: Set<ServerResponse>
  close (): Promise<void>
}

export interface HttpUpstreamOptions extends Script {
  /** Answer everything as an event stream. */
  readonly streams?: boolean
  readonly port?: number
  /** A GET is a stream on which it may speak by itself. */
  readonly speaks?: boolean
  /** Answers in its place. @returns whether it did */
  readonly instead?: (request: IncomingMessage, response: ServerResponse, message: Received) => boolean
}

export async function startHttpUpstream (t: Pick<Test, 'teardown'>, { streams = false, speaks = false, port = 0, instead = () => false, ...script }: HttpUpstreamOptions = {}): Promise<HttpUpstream> {
  const server = new ScriptedUpstream(script)
  const heads: HttpUpstream['heads'] = []
  const sessions = new Set<string>()
  const own = new Set<ServerResponse>()
  const http = createServer((request, response) => {
    serve(request, response).catch(error => { response.destroy(error as Error) })
  })

  async function serve (request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method === 'GET' && speaks) {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
      own.add(response)
      response.on('close', () => own.delete(response))
      return
    }
    if (request.method !== 'POST') {
      response.writeHead(405).end()
      return
    }
    let body = ''
    for await (const chunk of request.setEncoding('utf8')) body += chunk
    heads.push(request.headers)
    const message = JSON.parse(body) as Received
    if (instead(request, response, message)) return
    const session = request.headers['mcp-session-id']
    const isModern = request.headers['mcp-protocol-version'] === '2026-07-28'
    if (!isModern && message.method !== 'initialize' && !sessions.has(String(session))) {
      response.writeHead(session === undefined ? 400 : 404, { 'content-type': 'application/json' })
        .end('{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"No valid session ID provided"}}')
      return
    }
    if (message.method === undefined || message.id === undefined) {
      await server.receive(message, () => {})
      response.writeHead(202).end()
      return
    }
    const headers: Record<string, string> = {}
    if (message.method === 'initialize' && (script.era ?? 'legacy') !== 'modern') {
      const id = randomUUID()
      sessions.add(id)
      headers['mcp-session-id'] = id
    }
    if (streams) {
      response.writeHead(200, { ...headers, 'content-type': 'text/event-stream' })
      await server.receive(message, text => { response.write(`event: message\ndata: ${text}\n\n`) })
      response.end()
      return
    }
    const texts: string[] = []
    await server.receive(message, text => texts.push(text))
    if (texts.length > 0) response.writeHead(200, { ...headers, 'content-type': 'application/json' }).end(texts.at(-1))
  }

  http.listen(port, '127.0.0.1')
  await once(http, 'listening')
  const close = async () => {
    http.closeAllConnections()
    await new Promise(resolve => http.close(resolve))
  }
  t.teardown(close)
  return { url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`, server, heads, sessions, own, close }
}
