// In the shape of edit_file of modelcontextprotocol/servers, filesystem.
import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { z } from 'zod'
import { edit } from '../parts.ts'

export default (server: McpServer): void => {
  server.registerTool(
    'edit_file',
    {
      title: 'Edit File',
      description: 'Replace texts of a file. Returns the changes in the form of a diff. Only works within allowed folders.',
      inputSchema: {
        path: z.string(),
        edits: z.array(z.object({
          oldText: z.string().describe('Text to look for, exactly'),
          newText: z.string().describe('Text to put there')
        })),
        dryRun: z.boolean().default(false).describe('Only show the changes')
      },
      outputSchema: { content: z.string() },
      annotations: { readOnlyHint: false, idempotentHint: false, destructiveHint: true }
    },
    async ({ path, edits, dryRun }) => {
      const diff = edit(path, edits, dryRun)
      return { content: [{ type: 'text', text: diff }], structuredContent: { content: diff } }
    }
  )
}
