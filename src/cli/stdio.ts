import { readSettings } from '../settings/read.ts'
import { openStore } from '../state/open.ts'
import { parse, type Command } from './command.ts'
import { takeStandardOutput } from './standard-output.ts'

export const stdio: Command = {
  summary: 'Serve MCP over standard input and output.',
  help: `Usage: secure-mcp stdio

For clients that start their servers themselves, such as Claude Desktop. The
credential is MCP_API_KEY, or params._meta.auth of each message. The log goes
to standard error.

Example, in claude_desktop_config.json:
  {"mcpServers": {"secure-mcp": {"command": "npx", "args": ["-y", "secure-mcp-server", "stdio"], "env": {"MCP_API_KEY": "…"}}}}`,

  async run (args, io) {
    parse(args, {})
    const output = takeStandardOutput() // before any tool is loaded
    // Loaded here: no other command needs the protocol.
    const [{ openAudit }, { buildRuntime }, { serveStdio }, { createLog }] = await Promise.all([
      import('../audit/from-settings.ts'), import('../runtime.ts'), import('../mcp/stdio.ts'),
      import('../telemetry/log.ts')
    ])
    const warnings: string[] = []
    const config = readSettings(io.env, { warn: warning => warnings.push(warning), serving: true })
    const log = createLog({
      debug: config.MCP_DEBUG,
      destination: {
        write: line => {
          process.stderr.write(line)
        }
      }
    })
    for (const warning of warnings) log.warn({}, warning)
    const store = await openStore(config, log, { serving: true })
    const audit = openAudit(config, log, store.records)
    const runtime = await buildRuntime({ config, store, logger: log, env: io.env })
    try {
      await runtime.upstreams?.begin()
      await serveStdio({
        ...runtime,
        store,
        log,
        inspection: runtime.inspection,
        credential:
          config.MCP_API_KEY === undefined ? { type: 'none' } : { type: 'api_key', value: config.MCP_API_KEY },
        onBegin: trace => audit.addNow(trace, 'begun'),
        record: trace => audit.addNow(trace, 'request', { must: false }),
        maxMessageBytes: config.MAX_REQUEST_BYTES,
        input: process.stdin,
        output
      })
      return 0
    } finally {
      await runtime.upstreams?.close(0)
      await runtime.close()
      await audit.end()
      await store.close()
    }
  }
}
