import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { serverBefore } from './server.ts'

await serverBefore().connect(new StdioServerTransport())
