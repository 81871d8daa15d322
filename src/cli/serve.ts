import { COMMAND, parse, type Command } from './command.ts'

export const serve: Command = {
  summary: 'Serve MCP over HTTP (the default).',
  help: `Usage: secure-mcp serve

Serves MCP at http://HOST:PORT/mcp until SIGTERM. Settings come from the
environment and the encrypted file; see docs/configuration.md.

Example:
  PORT=8080 REDIS_URL=redis://127.0.0.1:6379 STATE_SECRET=… ${COMMAND} serve`,

  async run (args, io) {
    parse(args, {})
    // Loaded here: no other command needs the framework.
    const { serve: start } = await import('../server.ts')
    await start(io.env, io.err)
    return 0
  }
}
