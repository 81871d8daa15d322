// The SDK's line 1 on Express, stateless, with its own bearer middleware and express-rate-limit.
import express from 'express'
import { rateLimit } from 'express-rate-limit'
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { z } from 'zod'
import { say, unlimited, verify } from './say.mjs'

const app = express()
app.use(express.json())
app.use(rateLimit({ windowMs: 60_000, limit: unlimited, standardHeaders: 'draft-8', legacyHeaders: false }))
app.post('/mcp', requireBearerAuth({ verifier: { verifyAccessToken: async token => verify(token) } }), async (request, response) => {
  const server = new McpServer({ name: 'peer', version: '1' })
  server.registerTool('echo', { description: 'Return the text that was sent.', inputSchema: { text: z.string().max(100_000) } }, async ({ text }) => ({ content: [{ type: 'text', text }] }))
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined, enableJsonResponse: true })
  response.on('close', () => { transport.close(); server.close() })
  await server.connect(transport)
  await transport.handleRequest(request, response, request.body)
})
const listener = app.listen(0, '127.0.0.1', () => say(listener.address().port))
