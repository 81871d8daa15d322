import { defineTool } from 'secure-mcp-server'
import { z } from 'zod'
import { setStatus, STATUSES } from '../parts.ts'

export default defineTool({
  name: 'set_task_status',
  description: 'Set the status of one or more tasks or subtasks.',
  input: z.object({
    id: z.string().describe('Task or subtask, such as 15 or 15.2; several with commas.'),
    status: z.enum(STATUSES).describe('The new status.'),
    file: z.string().optional().describe('Absolute path of the file of tasks.'),
    projectRoot: z.string().describe('Folder of the project, absolute.')
  }),
  run: async (args, { message }) => {
    try {
      message('info', `Setting ${args.id} of ${args.projectRoot} to ${args.status}`)
      const changed = setStatus(args.id, args.status)
      return { content: [{ type: 'text', text: JSON.stringify({ changed, status: args.status }, null, 2) }] }
    } catch (error) {
      message('error', `Failed: ${(error as Error).message}`)
      return { content: [{ type: 'text', text: `Error setting task status: ${(error as Error).message}` }], isError: true }
    }
  }
})
