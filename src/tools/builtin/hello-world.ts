import Type from 'typebox'
import { defineTool } from '../tool.ts'

export default defineTool({
  name: 'hello_world',
  description: 'Greet someone by name. Good for a first call that proves the connection works.',
  annotations: { readOnlyHint: true, idempotentHint: true, openWorldHint: false },

  input: Type.Object({
    name: Type.Optional(Type.String({ minLength: 1, maxLength: 100, description: 'Whom to greet. Default: World.' }))
  }, { additionalProperties: false }),

  run: ({ name = 'World' }) => `Hello, ${name}!`
})
