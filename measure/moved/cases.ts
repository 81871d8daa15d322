// Which tools were moved, and the calls that are made of each before and after.
export interface Moved {
  /** Of the tool, as `tools/` names it. */
  readonly file: string
  readonly from: 'fastmcp' | 'sdk'
  /** Repository in whose shape it is. */
  readonly shape: string
  readonly tool: string
  /** Why the listed schema is another one afterwards. */
  readonly listed?: string
  /** Arguments, each with what is different afterwards; undefined where nothing is. */
  readonly calls: ReadonlyArray<readonly [args: Record<string, unknown>, difference?: 'words of the refusal' | 'own words of the error']>
}

export const MOVED: readonly Moved[] = [
  {
    file: 'set-task-status',
    from: 'fastmcp',
    shape: 'eyaltoledano/claude-task-master',
    tool: 'set_task_status',
    calls: [
      [{ id: '1, 1.1', status: 'done', projectRoot: '/srv/shop' }],
      [{ id: '9', status: 'done', projectRoot: '/srv/shop' }],
      [{ id: '1', status: 'finished', projectRoot: '/srv/shop' }, 'words of the refusal']
    ]
  },
  {
    file: 'web-data',
    from: 'fastmcp',
    shape: 'brightdata/brightdata-mcp',
    tool: 'web_data_product',
    calls: [[{ url: 'https://example.com/7' }], [{ url: 'https://example.com/7', reviews: true }], [{ url: 'http://example.com/7' }], [{ url: 'seven' }, 'words of the refusal']]
  },
  { file: 'screenshot', from: 'fastmcp', shape: 'appium/appium-mcp', tool: 'appium_screenshot', calls: [[{}]] },
  {
    file: 'edit-file',
    from: 'sdk',
    shape: 'modelcontextprotocol/servers (filesystem)',
    tool: 'edit_file',
    calls: [
      [{ path: 'notes.txt', edits: [{ oldText: 'first', newText: '1st' }] }],
      [{ path: 'notes.txt', edits: [{ oldText: 'second', newText: '2nd' }], dryRun: true }],
      [{ path: 'other.txt', edits: [] }, 'own words of the error'],
      [{ path: 7, edits: [] }, 'words of the refusal']
    ]
  },
  {
    file: 'resolve-library',
    from: 'sdk',
    shape: 'upstash/context7',
    tool: 'resolve-library-id',
    listed: 'McpServer lists a schema behind z.preprocess as empty',
    calls: [[{ query: 'routes', libraryName: 'fastify' }], [{ question: 'routes', libraryName: 'none' }], [{ libraryName: 'fastify' }, 'words of the refusal']]
  },
  { file: 'ask-person', from: 'sdk', shape: 'modelcontextprotocol/servers (everything)', tool: 'trigger-elicitation-request', calls: [[{}]] }
]

/** What the user fills in, where a tool asks. */
export const PERSON_ANSWER = { action: 'accept' as const, content: { name: 'Ada', email: 'ada@example.com', friend: 'Grace' } }

/** An answer without what only this server adds, and without words that differ. */
export function comparable (result: Record<string, unknown>, difference: string | undefined): unknown {
  const { content, structuredContent, isError = false } = result
  return difference === undefined ? { content, structuredContent, isError } : { isError }
}

/** An entry of the list, without members that say nothing of what is accepted. */
export function comparableEntry (entry: object | undefined, { listed }: Moved): unknown {
  const { inputSchema, outputSchema, execution: _, ...rest } = entry as Record<string, object | undefined>
  return { ...rest, inputSchema: listed === undefined ? bare(inputSchema) : undefined, outputSchema: bare(outputSchema) }
}

function bare (schema: object | undefined): unknown {
  if (schema === undefined) return undefined
  const { $schema: _, additionalProperties: __, ...rest } = schema as Record<string, unknown>
  return rest
}
