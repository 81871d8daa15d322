// fastmcp, stateless, with its `authenticate`. It has no limiter of its own.
import { createServer } from 'node:net'
import { FastMCP } from 'fastmcp'
import { z } from 'zod'
import { say, verify } from './say.mjs'

const server = new FastMCP({
  name: 'peer',
  version: '1.0.0',
  logger: { debug () {}, error () {}, info () {}, log () {}, warn () {} },
  authenticate: async request => {
    try {
      return verify(request.headers.authorization?.slice('Bearer '.length))
    } catch {
      throw new Response(null, { status: 401 })
    }
  }
})
server.addTool({ name: 'echo', description: 'Return the text that was sent.', parameters: z.object({ text: z.string().max(100_000) }), execute: async ({ text }) => text })
const port = await new Promise(resolve => {
  const probe = createServer().listen(0, '127.0.0.1', () => { const { port } = probe.address(); probe.close(() => resolve(port)) })
})
await server.start({ transportType: 'httpStream', httpStream: { port, host: '127.0.0.1', endpoint: '/mcp', stateless: true, enableJsonResponse: true } })
say(port)
