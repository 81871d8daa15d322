// Prompts that the official conformance suite gets.
import { ask, definePrompt, elicit } from 'secure-mcp-server'
import { PNG } from './_media.mjs'

const says = content => ({ role: 'user', content })
const text = value => says({ type: 'text', text: value })

export default [
  definePrompt({ name: 'test_simple_prompt', description: 'Takes nothing.', get: () => 'This is a simple prompt for testing.' }),

  definePrompt({
    name: 'test_prompt_with_arguments',
    description: 'Takes two arguments.',
    arguments: [
      { name: 'arg1', description: 'First test argument', required: true, complete: typed => ['paris', 'park', 'party'].filter(word => word.startsWith(typed)) },
      { name: 'arg2', description: 'Second test argument', required: true }
    ],
    get: ({ arg1, arg2 }) => `Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`
  }),

  definePrompt({
    name: 'test_prompt_with_embedded_resource',
    description: 'Holds a resource.',
    arguments: [{ name: 'resourceUri', description: 'URI of the resource to embed', required: true }],
    get: ({ resourceUri }) => [
      says({ type: 'resource', resource: { uri: resourceUri, mimeType: 'text/plain', text: 'Embedded resource content for testing.' } }),
      text('Please process the embedded resource above.')
    ]
  }),

  definePrompt({
    name: 'test_prompt_with_image',
    description: 'Holds a picture.',
    get: () => [says({ type: 'image', data: PNG, mimeType: 'image/png' }), text('Please analyze the image above.')]
  }),

  definePrompt({
    name: 'test_input_required_result_prompt',
    description: 'Asks before it answers.',
    get (_values, { answers }) {
      const context = answers.user_context?.content?.context
      if (typeof context !== 'string') {
        return ask({ user_context: elicit('What context should the prompt use?', { type: 'object', properties: { context: { type: 'string' } }, required: ['context'] }) })
      }
      return `Context: ${context}`
    }
  })
]
