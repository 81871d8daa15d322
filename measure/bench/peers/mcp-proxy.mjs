// mcp-proxy's HTTP server, stateless, with its API key, in front of the SDK's line 1 in the same process. It has no limiter.
import { createServer } from 'node:net'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { startHTTPServer } from 'mcp-proxy'
import { z } from 'zod'
import { KEY, say } from './say.mjs'

const port = await new Promise(resolve => {
  const probe = createServer().listen(0, '127.0.0.1', () => { const { port } = probe.address(); probe.close(() => resolve(port)) })
})
await startHTTPServer({
  apiKey: KEY,
  host: '127.0.0.1',
  port,
  stateless: true,
  enableJsonResponse: true,
  sseEndpoint: null,
  streamEndpoint: '/mcp',
  createServer: async () => {
    const server = new McpServer({ name: 'peer', version: '1' })
    server.registerTool('echo', { description: 'Return the text that was sent.', inputSchema: { text: z.string().max(100_000) } }, async ({ text }) => ({ content: [{ type: 'text', text }] }))
    return server
  }
})
say(port)
