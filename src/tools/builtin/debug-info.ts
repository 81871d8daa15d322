import Type from 'typebox'
import { defineTool } from '../tool.ts'

/** @param verbose `MCP_DEBUG` of this server. What it adds is about the process, never a setting's value. */
export const debugInfo = (verbose: boolean) =>
  defineTool({
    name: 'debug_info',
    description:
      'Tell who the server takes the caller to be and, in debug mode, how the server is doing. For troubleshooting a connection.',
    annotations: { readOnlyHint: true, openWorldHint: false },

    input: Type.Object({}, { additionalProperties: false }),

    run: (_input, { caller, clientCapabilities }) => ({
      caller: { id: caller.id, name: caller.name, auth_type: caller.authType },
      client_capabilities: Object.keys(clientCapabilities),
      ...(verbose
        ? {
            server: {
              node: process.version,
              uptime_s: Math.round(process.uptime()),
              memory_mib: Math.round(process.memoryUsage.rss() / 1_048_576)
            }
          }
        : {})
    })
  })
