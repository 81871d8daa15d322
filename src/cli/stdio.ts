import { buildRuntime } from '../runtime.ts'
import { createLog } from '../telemetry/log.ts'
import { serveStdio } from '../mcp/stdio.ts'
import { readSettings } from '../server.ts'
import { openStore } from '../state/open.ts'
import { parse, type Command } from './command.ts'

export const stdio: Command = {
  summary: 'Serve MCP over standard input and output.',
  help: `Usage: secure-mcp stdio

For clients that start their servers themselves, such as Claude Desktop. The
credential is MCP_API_KEY, or params._meta.auth of each message. The log goes
to standard error.

Example, in claude_desktop_config.json:
  {"mcpServers": {"secure-mcp": {"command": "npx", "args": ["secure-mcp", "stdio"], "env": {"MCP_API_KEY": "…"}}}}`,

  async run (args, io) {
    parse(args, {}, 0)
    const config = readSettings(io.env)
    const log = createLog({ debug: config.MCP_DEBUG, destination: { write: line => { process.stderr.write(line) } } })
    const store = await openStore(config, log)
    const runtime = await buildRuntime({ config, store, logger: log })
    try {
      await serveStdio({
        ...runtime,
        store,
        log,
        inspection: config.INSPECTION,
        credential: config.MCP_API_KEY === undefined ? { type: 'none' } : { type: 'api_key', value: config.MCP_API_KEY },
        maxMessageBytes: config.MAX_REQUEST_BYTES,
        input: process.stdin,
        output: process.stdout
      })
      return 0
    } finally {
      await runtime.close()
      await store.close()
    }
  }
}
