/** Whether replicas run with the same settings, without saying any of them. */
import { createHmac, hkdfSync } from 'node:crypto'
import type { Config } from './schema.ts'

/** Where a process listens, and what only commands use: these may differ. */
const OF_ONE_PROCESS: ReadonlySet<string> = new Set([
  'HOST', 'PORT', 'MANAGEMENT_HOST', 'MANAGEMENT_PORT', 'MANAGEMENT_URL', 'MCP_OPERATOR_KEY', 'AUDIT_DIR', 'chosen'
])

/**
 * The same on every replica that has the same settings. Keyed, for some
 * settings are passwords that could be found by trying; so undefined without
 * STATE_SECRET, where there is one replica anyway.
 */
export function settingsDigest (config: Config): string | undefined {
  const [secret] = config.STATE_SECRET
  if (secret === undefined) return undefined
  const shared = Object.entries(config).filter(([name]) => !OF_ONE_PROCESS.has(name)).sort(([a], [b]) => a < b ? -1 : 1)
  const text = JSON.stringify(shared, (_name, value: unknown) => value instanceof Map ? [...value] : value)
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'secure-mcp settings digest', 32))
  return createHmac('sha256', key).update(text).digest('hex').slice(0, 12)
}
