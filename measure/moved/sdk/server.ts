import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import askPerson from './ask-person.ts'
import editFile from './edit-file.ts'
import resolveLibrary from './resolve-library.ts'

export function serverBefore (): McpServer {
  const server = new McpServer({ name: 'before', version: '1.0.0' })
  for (const add of [askPerson, editFile, resolveLibrary]) add(server)
  return server
}
