// In the shape of resolve-library-id of upstash/context7: models make names of arguments up, and a step before the schema mends them.
import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { z } from 'zod'
import { findLibraries, withoutAliases } from '../parts.ts'

export default (server: McpServer): void => {
  server.registerTool(
    'resolve-library-id',
    {
      title: 'Resolve a library',
      description: 'Resolves the name of a package to an id of its documentation. Call this first.',
      inputSchema: z.preprocess(withoutAliases({ query: ['userQuery', 'question'] }), z.object({
        query: z.string().describe('What to look up.'),
        libraryName: z.string().describe('Name of the library.')
      })),
      annotations: { readOnlyHint: true, destructiveHint: false, openWorldHint: true, idempotentHint: true }
    },
    async ({ libraryName }, { signal }) => {
      signal.throwIfAborted()
      const found = await findLibraries(libraryName)
      const text = found.length === 0 ? 'No library of that name was found.' : `Available:\n\n${found.join('\n')}`
      return { content: [{ type: 'text', text }] }
    }
  )
}
