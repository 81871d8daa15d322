import { serve as start } from '../server.ts'
import { parse, type Command } from './command.ts'

export const serve: Command = {
  summary: 'Serve MCP over HTTP (the default).',
  help: `Usage: secure-mcp serve

Serves MCP at http://HOST:PORT/mcp until SIGTERM. Settings come from the
environment and the encrypted file; see docs/configuration.md.

Example:
  PORT=8080 REDIS_URL=redis://127.0.0.1:6379 STATE_SECRET=… secure-mcp serve`,

  async run (args, io) {
    parse(args, {}, 0)
    await start(io.env, io.err)
    return 0
  }
}
