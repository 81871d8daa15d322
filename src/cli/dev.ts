import { COMMAND, parse, type Command } from './command.ts'

export const dev: Command = {
  summary: 'Serve, and load tools again when you save them.',
  help: `Usage: secure-mcp dev

For writing tools. Serves as "serve" does, with three differences: when a file
below TOOLS_DIR changes, tools are loaded again without ending a call, a session
or a stream; a file that is wrong is named, and the tools from before stay; and
the log is one readable line a call. Files outside TOOLS_DIR and in node_modules
are loaded at the start only.

Example:
  PORT=8080 ${COMMAND} dev`,

  async run (args, io) {
    parse(args, {})
    // Loaded here: no other command needs the framework.
    const { serve } = await import('../server.ts')
    await serve(io.env, io.err, { dev: true })
    return 0
  }
}
