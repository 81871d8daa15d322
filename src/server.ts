/** The process: environment in, listeners out, and a graceful end. */
import closeWithGrace from 'close-with-grace'
import type { Logger } from 'pino'
import { buildApp } from './app.ts'
import { loadConfig, Settings, usesRedis, type Config } from './config.ts'
import { hashKey, makeKey } from './core/api-key.ts'
import { createLog } from './log.ts'
import { readSecureConfig } from './secrets/secure-config.ts'
import { readSettingFiles } from './secrets/setting-files.ts'
import { openStore } from './state/open.ts'
import type { Store } from './state/store.ts'

type Environment = Record<string, string | undefined>

/**
 * The settings of this process: the environment and the files that it names
 * (`<NAME>_FILE`), over the encrypted file.
 *
 * @throws {UsageError}
 */
export function readSettings (env: Environment): Config {
  const file = readSecureConfig({
    file: env.SECURE_CONFIG_FILE || 'config/secure_config.json',
    keys: env.CONFIG_ENCRYPTION_KEY,
    keyFile: env.CONFIG_ENCRYPTION_KEY_FILE || 'config/encryption.key'
  })
  return loadConfig({ ...env, ...readSettingFiles(env, Object.keys(Settings.properties)) }, file)
}

/**
 * Serve until a signal says stop.
 *
 * @param tell writes to the person at the terminal, apart from the log
 * @throws {UsageError} for anything wrong before listening
 */
export async function serve (env: Environment, tell: (text: string) => void): Promise<void> {
  const config = readSettings(env)
  const log = createLog({ debug: config.MCP_DEBUG })
  const store = await openStore(config, log)
  const firstKey = await makeFirstKey(config, store)
  const app = await buildApp({ config, store, logger: log })

  await app.listen({ host: config.HOST, port: config.PORT })
  const { port } = app.server.address() as { port: number }
  const url = `${config.PORT === 0 ? config.PUBLIC_URL.replace(/:0$/, `:${port}`) : config.PUBLIC_URL}/mcp`
  tell(banner(config, url, firstKey))

  closeWithGrace({ delay: config.SHUTDOWN_GRACE_MS, logger: quiet(log) }, async ({ signal, err }) => {
    if (err !== undefined) log.fatal({ err }, 'ending after an unforeseen failure')
    log.info({ signal }, 'draining')
    await app.close()
    log.info('closed')
    log.flush()
  })
}

/** A key for a first run: only where none exists anywhere and state is this process's own. */
async function makeFirstKey (config: Config, store: Store): Promise<string | undefined> {
  if (!config.MCP_AUTH_ENABLED || usesRedis(config) || config.MCP_API_KEY !== undefined || (await store.listKeys()).length > 0) return undefined
  const { id, key } = makeKey()
  await store.saveKey({ id, name: 'first', role: 'caller', permissions: ['*'], hash: hashKey(key), created: Date.now() })
  return key
}

function banner (config: Config, url: string, key: string | undefined): string {
  const lines = ['', `  MCP endpoint   ${url}`, `  Authentication ${describeAuth(config)}`, `  State          ${usesRedis(config) ? 'Redis' : 'this process (one replica; set REDIS_URL for more)'}`]
  if (key !== undefined) {
    lines.push(
      '', '  No API key existed, so one was made. It is shown this once; only its hash is kept.', '', `    ${key}`,
      '', '  Try it:', '', curlLine(url, key), '', '  In a client that reads mcpServers:', '', clientSnippet(url, key)
    )
  } else if (config.MCP_AUTH_ENABLED) {
    lines.push('', '  Make a key: npx secure-mcp keys create <name>')
  }
  return lines.join('\n') + '\n'
}

function describeAuth ({ MCP_AUTH_ENABLED: on, OAUTH2_AUTH_SERVER: issuers, AUTHENTICATOR: custom }: Config): string {
  if (!on) return 'OFF: everyone who reaches this address may call everything'
  return ['on: API key', ...(issuers.length > 0 ? ['OAuth2'] : []), ...(custom === undefined ? [] : ['custom'])].join(', ')
}

function curlLine (url: string, key: string): string {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'hello_world', arguments: { name: 'Ada' } } })
  return [
    `curl -s ${url} \\`,
    `  -H 'Authorization: Bearer ${key}' \\`,
    "  -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \\",
    `  -d '${body}'`
  ].join('\n')
}

function clientSnippet (url: string, key: string): string {
  return JSON.stringify({ mcpServers: { 'secure-mcp': { type: 'http', url, headers: { Authorization: `Bearer ${key}` } } } }, null, 2)
}

/** close-with-grace tells of a second signal by its own logger. */
function quiet (log: Logger) {
  return { error: (...args: unknown[]) => log.error({ why: String(args[0]) }, 'ended at once') }
}
