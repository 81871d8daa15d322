import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import pino from 'pino'
import type { Test } from 'tap'
import { buildApp, type AppOptions } from '../../src/app.ts'
import type { RefreshPolicies } from '../../src/auth/oauth2/from-settings.ts'
import { loadConfig } from '../../src/settings/load.ts'
import type { Config } from '../../src/settings/schema.ts'
import { hashKey, makeKey, type ApiKeyRecord } from '../../src/core/api-key.ts'
import { createMetrics, type Metrics } from '../../src/telemetry/metrics.ts'
import { createLog } from '../../src/telemetry/log.ts'
import { openStore } from '../../src/state/open.ts'
import type { Store } from '../../src/state/store.ts'
import type { Source } from '../../src/tools/catalogue.ts'
import type { Definition } from '../../src/tools/tool.ts'

export const silent = pino({ level: 'silent' })

/** The Redis that the test command found or fetched. */
export const redisUrl = process.env.TEST_REDIS_URL ?? ''

/** A folder of the test's own. */
export function folder (t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'secure-mcp-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

export interface Built {
  app: FastifyInstance
  store: Store
  config: Config
  /** Lines of the log so far, parsed. */
  lines: Array<Record<string, unknown>>
  metrics: Metrics
}

/** Far from what a busy machine takes; what is claimed of an authorization server in trouble sets its own. */
const PATIENT: RefreshPolicies = { answerMs: 30_000, metadata: { waitMs: 30_000 }, jwks: { waitMs: 30_000 } }

/** The app with state in memory, or in Redis where `env` says so; it listens on nothing. */
export async function build (t: Test, { env = {}, tools = [], oauth2Policies = {}, quietMs, upstreams }: { env?: Record<string, string>, tools?: readonly Definition[], oauth2Policies?: RefreshPolicies, quietMs?: number, upstreams?: AppOptions['upstreams'] } = {}): Promise<Built> {
  const dir = folder(t)
  const config = loadConfig({
    PUBLIC_URL: 'http://localhost:3000',
    API_KEYS_FILE: join(dir, 'api_keys.json'),
    TOOLS_DIR: dir,
    // What is claimed of a Redis in trouble sets its own; elsewhere a busy machine must not look like one.
    REDIS_COMMAND_TIMEOUT_MS: '10000',
    REDIS_KEY_PREFIX: `test:${randomBytes(6).toString('hex')}:`,
    STATE_SECRET: randomBytes(32).toString('base64url'),
    ...env
  })
  const lines: Array<Record<string, unknown>> = []
  const logger = createLog({ debug: config.MCP_DEBUG, destination: { write: line => { lines.push(JSON.parse(line) as Record<string, unknown>) } } })
  // The Redis of all tests is there; a busy machine may take seconds to reach it. One of a test's own may be meant to be absent.
  const store = await openStore(config, logger, config.REDIS_URL === redisUrl ? { patienceMs: 30_000 } : {})
  const sources: Source[] = tools.map(definition => ({ from: 'test', definition }))
  const metrics = createMetrics()
  const app = await buildApp({ config, store, logger, metrics, sources, ...(quietMs === undefined ? {} : { quietMs }), ...(upstreams === undefined ? {} : { upstreams }), oauth2Policies: { ...PATIENT, ...oauth2Policies, metadata: { ...PATIENT.metadata, ...oauth2Policies.metadata }, jwks: { ...PATIENT.jwks, ...oauth2Policies.jwks } } })
  t.teardown(() => app.close())
  return { app, store, config, lines, metrics }
}

/** A key in the store, and what it was made from. */
export async function addKey (store: Store, more: Partial<ApiKeyRecord> = {}): Promise<{ key: string, record: ApiKeyRecord }> {
  const { id, key } = makeKey()
  const record: ApiKeyRecord = { id, name: `key-${id}`, role: 'caller', permissions: ['*'], hash: hashKey(key), created: Date.now(), ...more }
  await store.saveKey(record)
  return { key, record }
}

export const MODERN = '2026-07-28'
export const META = { 'io.modelcontextprotocol/protocolVersion': MODERN, 'io.modelcontextprotocol/clientCapabilities': {} }

export interface Sent {
  key?: string | undefined
  headers?: Record<string, string>
  id?: number | string
  address?: string
}

/** A request of revision 2026-07-28, through the app without a socket. */
export async function modern (app: FastifyInstance, method: string, params: Record<string, unknown> = {}, { key, headers = {}, id = 1, address }: Sent = {}) {
  const name = params.name ?? params.uri
  return await app.inject({
    method: 'POST',
    url: '/mcp',
    headers: {
      host: 'localhost:3000',
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': MODERN,
      'mcp-method': method,
      ...(typeof name === 'string' ? { 'mcp-name': name } : {}),
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      ...headers
    },
    payload: JSON.stringify({ jsonrpc: '2.0', id, method, params: { ...params, _meta: { ...META, ...(params._meta as object | undefined) } } }),
    ...(address === undefined ? {} : { remoteAddress: address })
  })
}

/** A request of the revisions before. */
export async function legacy (app: FastifyInstance, method: string, params: Record<string, unknown> = {}, { key, headers = {}, id = 1, address }: Sent = {}) {
  return await app.inject({
    method: 'POST',
    url: '/mcp',
    headers: {
      host: 'localhost:3000',
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      ...headers
    },
    payload: JSON.stringify({ jsonrpc: '2.0', id, method, params }),
    ...(address === undefined ? {} : { remoteAddress: address })
  })
}

/** The JSON-RPC message of an answer, whether it came as JSON or as an event stream. */
export function messageOf (response: { body: string, headers: Record<string, unknown> }): { id?: unknown, result?: any, error?: any } {
  if (!String(response.headers['content-type']).startsWith('text/event-stream')) return JSON.parse(response.body)
  const data = response.body.split('\n').filter(line => line.startsWith('data: ')).map(line => line.slice(6)).filter(text => text !== '')
  return JSON.parse(data.at(-1)!)
}
