// The SDK's line 2 on Fastify: bare, or with a bearer check and @fastify/rate-limit in front.
import rateLimit from '@fastify/rate-limit'
import { createMcpHandler, fromJsonSchema, McpServer } from '@modelcontextprotocol/server'
import Fastify from 'fastify'
import { KEY, say, unlimited } from './say.mjs'

const { secured } = JSON.parse(process.argv[2])
const inputSchema = fromJsonSchema({ type: 'object', properties: { text: { type: 'string', maxLength: 100_000 } }, required: ['text'], additionalProperties: false })
const handler = createMcpHandler(() => {
  const server = new McpServer({ name: 'peer', version: '1' })
  server.registerTool('echo', { description: 'Return the text that was sent.', inputSchema }, async ({ text }) => ({ content: [{ type: 'text', text }] }))
  return server
})
const app = Fastify()
if (secured) {
  await app.register(rateLimit, { max: unlimited, timeWindow: 60_000 })
  app.addHook('onRequest', async (request, reply) => {
    if (request.headers.authorization !== `Bearer ${KEY}`) return reply.code(401).send()
  })
}
app.post('/mcp', async (request, reply) => {
  const response = await handler.fetch(new Request('http://127.0.0.1/mcp', { method: 'POST', headers: request.headers }), { parsedBody: request.body })
  response.headers.delete('connection')
  return reply.send(response)
})
await app.listen({ host: '127.0.0.1', port: 0 })
say(app.server.address().port)
