/** Which servers a client's file names: the shape is told by its members, not by its name. */
import { parse as parseJson, type ParseError } from 'jsonc-parser'
import { parse as parseToml } from 'smol-toml'
import { UsageError } from '../../errors.ts'

export interface ClientServer {
  /** As the file has it. */
  readonly name: string
  /** Where two clients mean different things by one word. */
  readonly client: 'gemini' | 'other'
  readonly server: Readonly<Record<string, unknown>>
}

/** An object of such a file. */
export type ClientMembers = Record<string, unknown>

/**
 * @param path for messages
 * @throws {UsageError} for a text that is no such file
 */
export function serversOfClient (text: string, path: string): ClientServer[] {
  const root = rootOf(text, path)
  const found = [
    root.mcpServers, root.servers, root.context_servers, root.mcp_servers, root[
      'mcp.servers'
    ], isJson(root.mcp) ? root.mcp.servers : undefined,
    ...(isJson(
      root.projects
    )
      ? Object.values(root.projects).map(project => isJson(project) ? project.mcpServers : undefined)
      : [])
  ].filter(isJson)
  if (found.length === 0) {
    throw new UsageError(
      `${path} names no servers: it has none of mcpServers, servers, context_servers, [mcp_servers]. See --help`
    )
  }
  const servers = found.flatMap(
    group => Object.entries(group)
  ).filter((entry): entry is [string, ClientMembers] => isJson(entry[1]))
  const client = servers.some(
    ([, server]) => ['httpUrl', 'includeTools', 'excludeTools'].some(name => Object.hasOwn(server, name))
  )
    ? 'gemini'
    : 'other'
  return servers.map(([name, server]) => ({ name, client, server }))
}

function rootOf (text: string, path: string): ClientMembers {
  const errors: ParseError[] = []
  const json: unknown = parseJson(text, errors, { allowTrailingComma: true })
  if (errors.length === 0 && isJson(json)) return json
  try {
    return parseToml(text)
  } catch {
    throw new UsageError(`${path} is neither JSON nor TOML`)
  }
}

function isJson (value: unknown): value is ClientMembers {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
