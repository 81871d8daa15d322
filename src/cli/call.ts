import { readFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import { text as textOf } from 'node:stream/consumers'
import { nearest } from '../core/nearest.ts'
import { UsageError } from '../errors.ts'
import { readSettings } from '../settings/read.ts'
import { redact } from '../telemetry/redact.ts'
import type { CallResult, TestClient } from '../testing/index.ts'
import { COMMAND, JSON_OPTION, parse, type Command, type Io } from './command.ts'
import { terminalAnswers, TypedLines } from './terminal-answers.ts'
import { table } from './table.ts'

export const call: Command = {
  summary: 'Call a tool of this folder, without a server.',
  help: `Usage: secure-mcp call [tool] [arguments] [--as <permissions>] [--json]

Loads the tools as the server would and calls one in this process, through
permissions, inspection and schemas. Without a tool it lists them. Arguments are
a JSON object, @file, or - for standard input. What the tool asks is asked here.
Progress, messages and the log go to standard error. The exit code is 1 where
the tool or the server refuses.

  --as <permissions>  what the caller may use, such as 'get_*'; may be repeated
  --json              print the result as the client gets it

Example:
  ${COMMAND} call get_order '{"number": "1001"}' --as 'get_*'`,

  async run (args, io) {
    const options = { ...JSON_OPTION, as: { type: 'string', multiple: true } } as const
    const { values: { json, as: permissions = ['*'] }, positionals: [tool, given] } = parse(args, options, 2)
    const input = given === undefined ? {} : await argumentsFrom(given, io)
    const lines = new TypedLines(given === '-' ? Readable.from([]) : io.stdin)
    const client = await open(io, permissions, lines)
    try {
      return tool === undefined ? await list(client, json, io) : await callOne(client, tool, input, { json, io })
    } finally {
      lines.close()
      await client.close()
    }
  }
}

async function open (io: Io, permissions: readonly string[], lines: TypedLines): Promise<TestClient> {
  const config = readSettings(io.env)
  // Loaded here: no other command needs the protocol.
  const { testTools } = await import('../testing/index.ts')
  return await testTools(config.TOOLS_DIR, {
    permissions,
    answers: terminalAnswers(lines, io.err),
    settings: {
      builtInTools: config.BUILT_IN_TOOLS,
      mcpDebug: config.MCP_DEBUG,
      inspection: config.INSPECTION,
      inspectionLevel: config.INSPECTION_LEVEL,
      inspectionPatternsFile: config.INSPECTION_PATTERNS_FILE,
      maxRequestBytes: config.MAX_REQUEST_BYTES
    }
  })
}

async function list (client: TestClient, json: boolean, io: Io): Promise<number> {
  const tools = await client.tools()
  const rows = tools.map(({ name, description, inputSchema: { properties = {}, required = [] } }) => [
    name,
    Object.keys(properties).map(one => required.includes(one) ? one : `[${one}]`).join(' ') || '-',
    description.split('\n', 1)[0].slice(0, 80)
  ])
  io.out(json ? JSON.stringify(tools) : table(['tool', 'arguments', 'what it does'], rows))
  return 0
}

async function callOne (
  client: TestClient, tool: string, input: object, { json, io }: { json: boolean, io: Io }
): Promise<number> {
  const names = (await client.tools()).map(({ name }) => name)
  if (!names.includes(tool)) {
    const meant = nearest(tool, names)
    const hint = meant === undefined ? '' : `Is ${meant} meant? `
    throw new UsageError(`This caller has no tool "${tool.slice(0, 64)}". ${hint}See: ${COMMAND} call`)
  }
  const result = await client.call(tool, input, {
    onProgress: ({ progress, total, message }) => {
      io.err(`${progress}${total === undefined ? '' : ` of ${total}`}${message === undefined ? '' : `: ${message}`}`)
    },
    onMessage: ({ level, data }) => { io.err(`${level}: ${typeof data === 'string' ? data : JSON.stringify(data)}`) }
  })
  print(result, json, io)
  return result.isError ? 1 : 0
}

function print ({ content, structuredContent, isError, log }: CallResult, json: boolean, io: Io): void {
  for (const { msg, err, fault, problems } of log as ReadonlyArray<Record<string, any>>) {
    const cause = err?.stack ?? fault
    if (cause !== undefined) {
      io.err(redact(`${msg}: ${cause}${problems === undefined ? '' : ` (${problems.join('; ')})`}`))
    }
  }
  if (json) {
    io.out(JSON.stringify({ content, ...(structuredContent === undefined ? {} : { structuredContent }), isError }))
    return
  }
  for (const { type, text, mimeType, uri } of content) {
    io.out(type === 'text' ? text : `[${type} ${mimeType ?? uri ?? ''}]`)
  }
}

/** @throws {UsageError} */
async function argumentsFrom (given: string, io: Io): Promise<object> {
  const json = given === '-' ? await textOf(io.stdin) : given.startsWith('@') ? fileText(given.slice(1)) : given
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {}
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  throw new UsageError('The arguments must be a JSON object, such as \'{"number": "7"}\', @file or -. See --help')
}

function fileText (path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new UsageError(`${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  }
}
