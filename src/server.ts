/** The process: environment in, listeners out, and a graceful end. */
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import closeWithGrace from 'close-with-grace'
import type { Logger } from 'pino'
import { buildApp } from './app.ts'
import { openAudit } from './audit/from-settings.ts'
import { hashKey, makeKey } from './core/api-key.ts'
import { UsageError } from './errors.ts'
import { createLog } from './telemetry/log.ts'
import { createMetrics } from './telemetry/metrics.ts'
import { readableOutput } from './telemetry/readable.ts'
import { PRODUCT } from './settings/identity.ts'
import { settingsDigest } from './settings/digest.ts'
import { readSettings } from './settings/read.ts'
import { usesRedis } from './settings/rules.ts'
import type { Config } from './settings/schema.ts'
import { openStore } from './state/open.ts'
import type { Store } from './state/store.ts'
import { buildManagement } from './management.ts'
import { buildRuntime } from './runtime.ts'

type ProcessEnvironment = Record<string, string | undefined>
type App = Awaited<ReturnType<typeof buildApp>>

export interface ServeOptions {
  /** For whoever writes tools: they are loaded again when their files change, and the log is for a person to read. */
  dev?: boolean
}

/**
 * Serve until a signal says stop.
 *
 * @param tell writes to the person at the terminal, apart from the log
 * @throws {UsageError} for anything wrong before listening
 */
export async function serve (
  env: ProcessEnvironment, tell: (text: string) => void, { dev = false }: ServeOptions = {}
): Promise<void> {
  const warnings: string[] = []
  const config = await withPort(env, warning => warnings.push(warning))
  const log = createLog({ debug: config.MCP_DEBUG, ...(dev ? { destination: readableOutput(process.stdout) } : {}) })
  process.once('exit', log.endNow)
  log.info({ version: PRODUCT.version, node: process.version }, 'starting')
  for (const warning of warnings) log.warn({}, warning)
  const metrics = createMetrics({ process: true, version: PRODUCT.version, settings: settingsDigest(config) })
  const store = await openStore(config, log, { onDegraded: metrics.degraded, serving: true })
  const firstKey = await makeFirstKey(config, store)
  const runtime = await buildRuntime({
    config, store, logger: log, env, reload: dev, upstreamCounts: metrics.upstreams
  })
  const audit = openAudit(config, log, store.records)
  const app = await buildApp({ config, store, logger: log, metrics, runtime, audit })
  // After the last answer, and before Redis is let go.
  app.addHook('onClose', () => audit.end())
  const { traffic } = app.secureMcp
  const management = await buildManagement({ config, store, runtime, traffic, metrics, audit, logger: log })
  try {
    await listen(app, { host: config.HOST, port: config.PORT, prefix: '' })
    await listenAside(management, config, log)
  } catch (error) {
    await management.close()
    await app.close()
    throw error
  }

  tell(banner(config, `${config.PUBLIC_URL}/mcp`, firstKey))

  // More for what follows the requests: ending streams, sending records on, closing connections, and programs that do
  // not end at once.
  const delay = config.DRAIN_MS + config.SHUTDOWN_GRACE_MS + 6000
  // At a terminal SIGHUP says that the terminal is gone; elsewhere it asks to read files again.
  const rereads = process.stdin.isTTY !== true
  if (rereads) {
    process.on('SIGHUP', () => {
      runtime.rereadUpstreams().catch(error => log.error({ err: error as Error }, 'SIGHUP failed'))
    })
  }
  closeWithGrace({ delay, skip: rereads ? ['SIGHUP'] : [], logger: lastWords(log) }, async ({ signal, err }) => {
    if (err !== undefined) log.fatal({ err }, 'ending after an unforeseen failure')
    await stop({ app, management, log, signal, config })
  })
}

/** With PORT 0 a free port is found first: hosts, origins, audience and metadata all hold the port. */
async function withPort (env: ProcessEnvironment, warn: (message: string) => void): Promise<Config> {
  const config = readSettings(env, { warn, serving: true })
  if (config.PORT !== 0) return config
  const probe = createServer().listen(0, config.HOST)
  try {
    await once(probe, 'listening')
  } catch (error) {
    throw cannotListen(error, { host: config.HOST, port: 0, prefix: '' })
  }
  const { port } = probe.address() as AddressInfo
  probe.close()
  await once(probe, 'close')
  const { PORT_FILE: _, ...rest } = env
  return readSettings({ ...rest, PORT: String(port) })
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
 * flight; end the streams; send the last records on; let go of Redis.
 */
async function stop ({ app, management, log, signal, config }: Stopping): Promise<void> {
  log.info({ signal }, 'draining')
  app.secureMcp.traffic.drain()
  // A person at a terminal has no load balancer.
  if (signal !== 'SIGINT') await sleep(config.DRAIN_MS)
  app.server.close()
  await app.secureMcp.traffic.idle(config.SHUTDOWN_GRACE_MS)
  await management.close()
  await app.close()
  log.info('closed')
  await log.end(500)
}

interface ListenAt {
  host: string
  port: number
  /** Of the two settings that say where, for messages. */
  prefix: '' | 'MANAGEMENT_'
}

/** @throws {UsageError} if the address cannot be had */
async function listen (app: App, at: ListenAt): Promise<void> {
  try {
    await app.listen({ host: at.host, port: at.port })
  } catch (error) {
    throw cannotListen(error, at)
  }
}

/** What to change, in words for the operator; any other failure as it is. */
function cannotListen (error: unknown, { host, port, prefix }: ListenAt): unknown {
  const { code = '' } = error as NodeJS.ErrnoException
  if (code === 'EADDRINUSE') {
    return new PortTaken(`${host}:${port} is taken; set ${prefix}PORT to another port (0 picks a free one)`)
  }
  if (code === 'EACCES') {
    return new UsageError(
      `${host}:${port} needs more rights; set ${prefix}PORT to a port above 1023 (0 picks a free one)`
    )
  }
  if (
    [
      'EADDRNOTAVAIL', 'ENOTFOUND', 'EAI_AGAIN', 'EAI_FAIL', 'EAI_NODATA', 'EAI_NONAME', 'EINVAL', 'EAFNOSUPPORT',
      'ENOENT'
    ].includes(code)
  ) {
    return new UsageError(
      `${prefix}HOST ${host.slice(0, 128)} is no address of this machine; set it to 127.0.0.1, to 0.0.0.0 for every address, or remove it (some shells and conda set HOST themselves)`
    )
  }
  return error
}

class PortTaken extends UsageError {}

/**
 * The default port is one that others like, too: metrics must not keep the service from starting, unless the
 * port was chosen.
 */
async function listenAside (
  app: App,
  { MANAGEMENT_HOST: host, MANAGEMENT_PORT: port, chosen }: Config,
  log: Logger
): Promise<void> {
  try {
    await listen(app, { host, port, prefix: 'MANAGEMENT_' })
  } catch (error) {
    if (chosen.has('MANAGEMENT_PORT') || !(error instanceof PortTaken)) throw error
    log.warn({ why: error.message }, 'there is no management listener')
  }
}

/** A key for a first run: only where none exists anywhere and state is this process's own. */
async function makeFirstKey (config: Config, store: Store): Promise<string | undefined> {
  if (
    !config.MCP_AUTH_ENABLED ||
    usesRedis(config) ||
    config.MCP_API_KEY !== undefined ||
    (await store.listKeys()).length > 0
  ) {
    return undefined
  }
  const { id, key } = makeKey()
  await store.saveKey({
    id, name: 'first', role: 'caller', permissions: ['*'], hash: hashKey(key), created: Date.now()
  })
  return key
}

function banner (config: Config, url: string, key: string | undefined): string {
  const lines = [
    '', `  secure-mcp-server ${PRODUCT.version}`, '', `  MCP endpoint   ${url}`,
    `  Authentication ${describeAuth(config)}`,
    `  State          ${usesRedis(config) ? 'Redis' : 'this process (one replica; set REDIS_URL for more)'}`
  ]
  if (key !== undefined) {
    lines.push(
      '', '  No API key existed, so one was made. It is shown this once; only its hash is kept.', '', `    ${key}`,
      '', '  Try it:', '', curlLine(url, key), '', '  In a client that reads mcpServers:', '', clientSnippet(url, key)
    )
  } else if (config.MCP_AUTH_ENABLED) {
    lines.push('', '  Make a key: npx secure-mcp-server keys create <name>')
  }
  return lines.join('\n') + '\n'
}

function describeAuth ({ MCP_AUTH_ENABLED: on, OAUTH2_AUTH_SERVER: issuers, AUTHENTICATOR: custom }: Config): string {
  if (!on) return 'OFF: everyone who reaches this address may call everything'
  return ['on: API key', ...(issuers.length > 0 ? ['OAuth2'] : []), ...(custom === undefined ? [] : ['custom'])].join(
    ', '
  )
}

function curlLine (url: string, key: string): string {
  const body = JSON.stringify({
    jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'hello_world', arguments: { name: 'Ada' } }
  })
  return [
    `curl -s ${url} \\`,
    `  -H 'Authorization: Bearer ${key}' \\`,
    "  -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \\",
    `  -d '${body}'`
  ].join('\n')
}

function clientSnippet (url: string, key: string): string {
  return JSON.stringify(
    { mcpServers: { 'secure-mcp': { type: 'http', url, headers: { Authorization: `Bearer ${key}` } } } },
    null,
    2
  )
}

/** What close-with-grace says when it ends the process at once: a second signal, or out of time. */
function lastWords (log: ReturnType<typeof createLog>) {
  return {
    error (...args: unknown[]) {
      log.error({ why: String(args[0]) }, 'ended at once')
    }
  }
}
