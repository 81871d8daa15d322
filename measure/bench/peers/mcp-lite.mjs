// mcp-lite on Hono, with Hono's bearer middleware and hono-rate-limiter.
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { bearerAuth } from 'hono/bearer-auth'
import { rateLimiter } from 'hono-rate-limiter'
import { McpServer, StreamableHttpTransport } from 'mcp-lite'
import { z } from 'zod'
import { KEY, say, unlimited } from './say.mjs'

const mcp = new McpServer({ name: 'peer', version: '1', schemaAdapter: schema => z.toJSONSchema(schema) })
mcp.tool('echo', { description: 'Return the text that was sent.', inputSchema: z.object({ text: z.string().max(100_000) }), handler: ({ text }) => ({ content: [{ type: 'text', text }] }) })
const handle = new StreamableHttpTransport().bind(mcp)
const app = new Hono()
app.use('/mcp', bearerAuth({ token: KEY }))
app.use('/mcp', rateLimiter({ windowMs: 60_000, limit: unlimited, standardHeaders: 'draft-7', keyGenerator: c => c.req.header('authorization') }))
app.all('/mcp', c => handle(c.req.raw))
const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, ({ port }) => say(port))
process.once('exit', () => server.close())
