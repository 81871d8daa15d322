import Type from 'typebox'
import { defineTool } from '../tool.ts'

export default defineTool({
  name: 'echo',
  description: 'Return the text that was sent, unchanged.',
  annotations: { readOnlyHint: true, idempotentHint: true, openWorldHint: false },

  input: Type.Object({
    text: Type.String({ maxLength: 100_000, description: 'The text to return.' })
  }, { additionalProperties: false }),

  run: ({ text }) => text
})
