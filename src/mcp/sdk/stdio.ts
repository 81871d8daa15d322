/** A connection over stdio as the SDK keeps it: which revision it speaks, who subscribed to what. */
import { InMemoryServerEventBus, type Transport } from '@modelcontextprotocol/server'
import { serveStdio } from '@modelcontextprotocol/server/stdio'
import type { Log } from '../../telemetry/log.ts'
import type { Change } from '../../tools/tool.ts'
import type { Serving, ServingOptions } from '../serving.ts'
import { sdkServer } from './server.ts'

export interface StdioConnection {
  changed (what: Change): void
  close (): Promise<void>
}

export function connectStdio (
  options: ServingOptions,
  transport: Transport,
  log: Log,
  messageOf: Serving['messageOf']
): StdioConnection {
  const bus = new InMemoryServerEventBus()
  const handle = serveStdio(({ era }) => sdkServer(options, { era, log, messageOf }), {
    transport, onerror: error => log.debug({ err: error }, 'sdk refused a message')
  })
  return {
    changed: what =>
      bus.publish(
        typeof what === 'object' ? { kind: 'resource_updated', uri: what.resource } : { kind: `${what}_list_changed` }
      ),
    close: () => handle.close()
  }
}
