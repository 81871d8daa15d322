// In the shape of set_task_status of eyaltoledano/claude-task-master.
import type { FastMCP } from 'fastmcp'
import { z } from 'zod'
import { setStatus, STATUSES } from '../parts.ts'

export default (server: FastMCP): void => {
  server.addTool({
    name: 'set_task_status',
    description: 'Set the status of one or more tasks or subtasks.',
    parameters: z.object({
      id: z.string().describe('Task or subtask, such as 15 or 15.2; several with commas.'),
      status: z.enum(STATUSES).describe('The new status.'),
      file: z.string().optional().describe('Absolute path of the file of tasks.'),
      projectRoot: z.string().describe('Folder of the project, absolute.')
    }),
    execute: async (args, { log }) => {
      try {
        log.info(`Setting ${args.id} of ${args.projectRoot} to ${args.status}`)
        const changed = setStatus(args.id, args.status)
        return { content: [{ type: 'text', text: JSON.stringify({ changed, status: args.status }, null, 2) }] }
      } catch (error) {
        log.error(`Failed: ${(error as Error).message}`)
        return { content: [{ type: 'text', text: `Error setting task status: ${(error as Error).message}` }], isError: true }
      }
    }
  })
}
