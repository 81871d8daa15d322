import { ask, defineTool, elicit } from 'secure-mcp-server'
import { z } from 'zod'
import { PERSON } from '../parts.ts'

export default defineTool({
  name: 'trigger-elicitation-request',
  title: 'Ask the user',
  description: 'Ask the user for a few fields, and tell what came back.',
  input: z.object({}),
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: false },
  run: async (_, { answers }) => {
    const answer = answers.person as { action: string, content?: object } | undefined
    if (answer === undefined) return ask({ person: elicit('Please fill this in:', PERSON) })
    if (answer.action !== 'accept') return { content: [{ type: 'text', text: `The user said ${answer.action}.` }] }
    const lines = Object.entries(answer.content ?? {}).map(([name, value]) => `- ${name}: ${String(value)}`)
    return { content: [{ type: 'text', text: `The user said:\n${lines.join('\n')}` }] }
  }
})
