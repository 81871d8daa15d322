/** The process: environment in, listeners out, and a graceful end. */
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import closeWithGrace from 'close-with-grace'
import type { Logger } from 'pino'
import { buildApp } from './app.ts'
import { loadConfig, Settings, usesRedis, type Config } from './settings/schema.ts'
import { hashKey, makeKey } from './core/api-key.ts'
import { UsageError } from './errors.ts'
import { createLog } from './telemetry/log.ts'
import { createMetrics } from './telemetry/metrics.ts'
import { readSecureConfig } from './secrets/secure-config.ts'
import { readSettingFiles } from './settings/files.ts'
import { openStore } from './state/open.ts'
import type { Store } from './state/store.ts'
import { buildManagement } from './management.ts'

type Environment = Record<string, string | undefined>
type App = Awaited<ReturnType<typeof buildApp>>

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
  const config = await withPort(env)
  const log = createLog({ debug: config.MCP_DEBUG })
  process.once('exit', log.endNow)
  const metrics = createMetrics({ process: true })
  const store = await openStore(config, log, metrics.degraded)
  const firstKey = await makeFirstKey(config, store)
  const app = await buildApp({ config, store, logger: log, metrics })
  const management = await buildManagement({ identify: app.identify, metrics, logger: log })
  try {
    await listen(app, config.HOST, config.PORT, 'PORT')
    await listenAside(management, config, env.MANAGEMENT_PORT === undefined, log)
  } catch (error) {
    await management.close()
    await app.close()
    throw error
  }

  tell(banner(config, `${config.PUBLIC_URL}/mcp`, firstKey))

  // One second more for what follows the requests: ending streams, closing connections.
  closeWithGrace({ delay: config.DRAIN_MS + config.SHUTDOWN_GRACE_MS + 1000, logger: lastWords(log) }, async ({ signal, err }) => {
    if (err !== undefined) log.fatal({ err }, 'ending after an unforeseen failure')
    await stop({ app, management, log, signal, config })
  })
}

/** With PORT 0 a free port is found first: hosts, origins, audience and metadata all hold the port. */
async function withPort (env: Environment): Promise<Config> {
  const config = readSettings(env)
  if (config.PORT !== 0) return config
  const probe = createServer().listen(0, config.HOST)
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  await once(probe, 'close')
  return readSettings({ ...env, PORT: String(port) })
}

interface Stopping {
  app: App
  management: App
  log: ReturnType<typeof createLog>
  signal: string | undefined
  config: Config
}

/**
 * The end, in the order in which nobody loses an answer: say "not ready" and
 * serve until load balancers know; take no more connections; finish what is in
 * flight; end the streams; let go of Redis.
 */
async function stop ({ app, management, log, signal, config }: Stopping): Promise<void> {
  log.info({ signal }, 'draining')
  app.traffic.drain()
  // A person at a terminal has no load balancer.
  if (signal !== 'SIGINT') await sleep(config.DRAIN_MS)
  app.server.close()
  await app.traffic.idle(config.SHUTDOWN_GRACE_MS)
  await app.close()
  await management.close()
  log.info('closed')
  await log.end(500)
}

/** @throws {UsageError} if the address cannot be had */
async function listen (app: App, host: string, port: number, setting: string): Promise<void> {
  try {
    await app.listen({ host, port })
  } catch (error) {
    const why = { EADDRINUSE: 'is taken', EACCES: 'needs more rights', EADDRNOTAVAIL: 'is no address of this machine' }[(error as NodeJS.ErrnoException).code ?? '']
    throw why === undefined ? error : new UsageError(`${host}:${port} ${why}; set ${setting} to another port (0 picks a free one)`)
  }
}

/** The default port is one that others like, too: metrics must not keep the service from starting, unless the port was chosen. */
async function listenAside (app: App, { MANAGEMENT_HOST: host, MANAGEMENT_PORT: port }: Config, isDefault: boolean, log: Logger): Promise<void> {
  try {
    await listen(app, host, port, 'MANAGEMENT_PORT')
  } catch (error) {
    if (!isDefault) throw error
    log.warn({ why: (error as Error).message }, 'there is no management listener')
  }
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

/** What close-with-grace says when it ends the process at once: a second signal, or out of time. */
function lastWords (log: ReturnType<typeof createLog>) {
  return {
    error (...args: unknown[]) {
      log.error({ why: String(args[0]) }, 'ended at once')
    }
  }
}
