// Tools that the official conformance suite calls: each kind of content, logs, progress, errors, headers.
import { setTimeout as sleep } from 'node:timers/promises'
import { defineTool, ToolError, Type } from 'secure-mcp-server'
import { PNG, WAV } from './_media.mjs'

const nothing = Type.Object({}, { additionalProperties: false })
const tool = (name, description, run, more = {}) => defineTool({ name, description, input: nothing, run, ...more })

export default [
  tool('test_simple_text', 'Answers with text.', () => 'This is a simple text response for testing.'),

  tool('test_image_content', 'Answers with a picture.', () => ({ content: [{ type: 'image', data: PNG, mimeType: 'image/png' }] })),

  tool('test_audio_content', 'Answers with a sound.', () => ({ content: [{ type: 'audio', data: WAV, mimeType: 'audio/wav' }] })),

  tool('test_embedded_resource', 'Answers with a resource.', () => ({
    content: [{ type: 'resource', resource: { uri: 'test://embedded-resource', mimeType: 'text/plain', text: 'This is an embedded resource content.' } }]
  })),

  tool('test_multiple_content_types', 'Answers with text, a picture and a resource.', () => ({
    content: [
      { type: 'text', text: 'Multiple content types test:' },
      { type: 'image', data: PNG, mimeType: 'image/png' },
      { type: 'resource', resource: { uri: 'test://mixed-content-resource', mimeType: 'application/json', text: '{"test":"data","value":123}' } }
    ]
  })),

  tool('test_tool_with_logging', 'Sends three log messages while it works.', async (_input, { message }) => {
    message('info', 'Tool execution started')
    await sleep(50)
    message('info', 'Tool processing data')
    await sleep(50)
    message('info', 'Tool execution completed')
    return 'Logged three messages.'
  }),

  tool('test_logging_tool', 'Sends one log message.', (_input, { message }) => {
    message('info', 'one message')
    return 'Logged.'
  }),

  tool('test_tool_with_progress', 'Tells how far it is, three times.', async (_input, { progress }) => {
    for (const done of [0, 50, 100]) {
      progress(done, 100, `Completed ${done} of 100`)
      await sleep(50)
    }
    return 'Done.'
  }),

  tool('test_error_handling', 'Fails.', () => { throw new ToolError('This tool intentionally returns an error for testing') }),

  tool('test_trigger_tool_change', 'Tells subscribers that the tools changed.', (_input, { changed }) => {
    changed('tools')
    return 'Told.'
  }),

  tool('test_trigger_prompt_change', 'Tells subscribers that the prompts changed.', (_input, { changed }) => {
    changed('prompts')
    return 'Told.'
  }),

  defineTool({
    name: 'test_custom_header',
    description: 'Takes an argument that is mirrored in a header.',
    input: Type.Object({
      region: Type.String({ maxLength: 100, description: 'Mirrored in Mcp-Param-Region.', 'x-mcp-header': 'Region' }),
      count: Type.Optional(Type.Integer({ description: 'Mirrored in Mcp-Param-Count.', 'x-mcp-header': 'Count' }))
    }, { additionalProperties: false }),
    run: ({ region }) => `Region: ${region}`
  }),

  defineTool({
    name: 'json_schema_2020_12_tool',
    description: 'Tool with JSON Schema 2020-12 features',
    input: {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      type: 'object',
      $defs: {
        address: { $anchor: 'addressDef', type: 'object', properties: { street: { type: 'string' }, city: { type: 'string' } } }
      },
      properties: {
        name: { type: 'string' },
        address: { $ref: '#/$defs/address' },
        contactMethod: { type: 'string', enum: ['phone', 'email'] },
        phone: { type: 'string' },
        email: { type: 'string' }
      },
      allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
      if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
      then: { required: ['phone'] },
      else: { required: ['email'] },
      additionalProperties: false
    },
    run: input => JSON.stringify(input)
  })
]
