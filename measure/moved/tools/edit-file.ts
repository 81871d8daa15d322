import { defineTool } from 'secure-mcp-server'
import { z } from 'zod'
import { edit } from '../parts.ts'

export default defineTool({
  name: 'edit_file',
  title: 'Edit File',
  description: 'Replace texts of a file. Returns the changes in the form of a diff. Only works within allowed folders.',
  input: z.object({
    path: z.string(),
    edits: z.array(z.object({
      oldText: z.string().describe('Text to look for, exactly'),
      newText: z.string().describe('Text to put there')
    })),
    dryRun: z.boolean().default(false).describe('Only show the changes')
  }),
  output: z.object({ content: z.string() }),
  annotations: { readOnlyHint: false, idempotentHint: false, destructiveHint: true },
  run: async ({ path, edits, dryRun }) => {
    const diff = edit(path, edits, dryRun)
    return { content: [{ type: 'text', text: diff }], structuredContent: { content: diff } }
  }
})
