import { defineTool, ToolError } from 'secure-mcp-server'
import { z } from 'zod'

export default defineTool({
  name: 'get_order',
  description: 'Look up one order by its number. Not for searching.',
  input: z.strictObject({ number: z.string().regex(/^\d{1,10}$/) }),
  output: z.object({ number: z.string(), state: z.enum(['open', 'shipped']) }),
  annotations: { readOnlyHint: true },

  // The caller is known and permitted, within its limit, and `number` was checked: none of that is the tool's to do.
  run ({ number }) {
    if (number !== '7') throw new ToolError(`There is no order ${number}. Try 7.`) // the model reads this
    return { number, state: 'shipped' }
  }
})
