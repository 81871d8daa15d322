// A Fastify app of somebody else that serves this product's endpoint through the plugin, for the conformance suite.
import { randomUUID } from 'node:crypto'
import secureMcp from '../../src/plugin.ts'
import { foreignApp } from '../../test/support/foreign-app.ts'

const { PORT, PUBLIC_URL, TOOLS_DIR, MCP_API_KEY, REDIS_URL, STATE_SECRET } = process.env
const app = await foreignApp(process.cwd(), {
  place: 'last',
  max: 1_000_000,
  fastify: { genReqId: () => randomUUID() },
  async add (app) {
    await app.register(secureMcp, {
      publicUrl: PUBLIC_URL!,
      tools: TOOLS_DIR!,
      builtInTools: true,
      mcpApiKey: MCP_API_KEY,
      rateLimitApiKey: 1_000_000,
      redisUrl: REDIS_URL,
      stateSecret: STATE_SECRET
    })
    app.get('/readyz', async () => ({ status: 'ready' }))
  }
})
await app.listen({ host: '127.0.0.1', port: Number(PORT) })
