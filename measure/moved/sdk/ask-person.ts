// In the shape of trigger-elicitation-request of modelcontextprotocol/servers, everything.
import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { PERSON } from '../parts.ts'

export default (server: McpServer): void => {
  server.registerTool(
    'trigger-elicitation-request',
    {
      title: 'Ask the user',
      description: 'Ask the user for a few fields, and tell what came back.',
      inputSchema: {},
      annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: false }
    },
    async () => {
      const answer = await server.server.elicitInput({ message: 'Please fill this in:', requestedSchema: structuredClone(PERSON) as never })
      if (answer.action !== 'accept') return { content: [{ type: 'text', text: `The user said ${answer.action}.` }] }
      const lines = Object.entries(answer.content ?? {}).map(([name, value]) => `- ${name}: ${String(value)}`)
      return { content: [{ type: 'text', text: `The user said:\n${lines.join('\n')}` }] }
    }
  )
}
