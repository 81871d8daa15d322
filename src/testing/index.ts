/**
 * `secure-mcp-server/testing`: tools, resources and prompts through the real
 * chain, permissions, limits, inspection and protocol, in the test's own
 * process. Nothing listens, and nothing is written.
 */
import { randomBytes } from 'node:crypto'
import { identifyGiven } from '../auth/chain.ts'
import { givenIdentity } from '../auth/custom.ts'
import { sealer } from '../core/seal.ts'
import { UsageError } from '../errors.ts'
import { MODERN_VERSION, SUPPORTED_PROTOCOL_VERSIONS } from '../mcp/sdk/protocol.ts'
import { serveStdio } from '../mcp/stdio.ts'
import { identityFromSettings } from '../settings/identity.ts'
import { inspectorFromSettings } from '../settings/inspection.ts'
import { loadOptions, type SettingOptions } from '../settings/options.ts'
import type { Config } from '../settings/schema.ts'
import { memoryStore } from '../state/memory/store.ts'
import type { Store } from '../state/store.ts'
import { createLog, type Log } from '../telemetry/log.ts'
import { buildCatalogue, type Source } from '../tools/catalogue.ts'
import { loadTools } from '../tools/load.ts'
import { CurrentOffer } from '../tools/offer.ts'
import type { Definition } from '../tools/tool.ts'
import type { Answers } from './answers.ts'
import { TestClient, type LogLine } from './client.ts'
import { Connection, type JsonMembers } from './connection.ts'

export { Unanswered, type Answers, type ClientQuestion } from './answers.ts'
export type { CallResult, Conversation, LogLine, RequestOptions, TestClient } from './client.ts'
export { RpcError, type LogMessage, type JsonMembers, type Progress } from './connection.ts'

export interface TestOptions {
  /** What the caller may use, as permissions of a key. Default: everything. */
  readonly permissions?: readonly string[]
  /** Of the protocol. Default: 2026-07-28. */
  readonly revision?: string
  /** What the client answers where something is asked. */
  readonly answers?: Answers
  /** What the client declares that it can do. Default: elicitation, sampling and roots. */
  readonly capabilities?: JsonMembers
  /** Settings of the server by the names of their options, such as `rateLimitApiKey` or `inspection`. */
  readonly settings?: SettingOptions
}

/** So many calls in a window that no test meets the limit by chance. */
const UNLIMITED = 1_000_000
const CAPABILITIES: JsonMembers = { elicitation: { form: {} }, sampling: {}, roots: {} }

/**
 * Serve definitions, or a folder of them, to one client.
 *
 * @param tools what defineTool, defineResource and definePrompt returned, or lists of them; or a folder
 * @throws {UsageError} naming the file and the fault
 */
export async function testTools (
  tools: string | ReadonlyArray<Definition | readonly Definition[]>, options: TestOptions = {}
): Promise<TestClient> {
  const { permissions = ['*'], revision = MODERN_VERSION, settings = {} } = options
  if (revision !== MODERN_VERSION && !SUPPORTED_PROTOCOL_VERSIONS.includes(revision)) {
    throw new UsageError(`revision must be one of ${[MODERN_VERSION, ...SUPPORTED_PROTOCOL_VERSIONS].join(', ')}`)
  }
  const { config } = loadOptions({ rateLimitApiKey: UNLIMITED, ...settings }, '/mcp')
  const lines: LogLine[] = []
  const log = createLog({ debug: config.MCP_DEBUG, destination: { write: line => { lines.push(JSON.parse(line)) } } })
  const sources = await sourcesOf(tools, config, log)
  const store = memoryStore()
  const connection = new Connection()
  const served = serve({ config, log, store, permissions, sources, connection })
  const close = async (): Promise<void> => {
    connection.end()
    await served
    await store.close()
  }
  const { answers = {}, capabilities = CAPABILITIES } = options
  return await new TestClient({ connection, revision, capabilities, answers, lines, close }).open()
}

interface Served {
  readonly config: Config
  readonly log: Log
  readonly store: Store
  readonly permissions: readonly string[]
  readonly sources: readonly Source[]
  readonly connection: Connection
}

/** Until the client closes. @throws {UsageError} at once, for a definition that cannot be offered */
function serve ({ config, log, store, permissions, sources, connection: { input, output } }: Served): Promise<void> {
  const inspector = inspectorFromSettings(config)
  const windowMs = config.RATE_LIMIT_WINDOW_MS
  const rule = { limit: config.RATE_LIMIT_API_KEY, windowMs }
  const caller = givenIdentity(async () => ({ id: 'test', permissions: [...permissions] }))
  const rules = { none: rule, api_key: rule, oauth2: rule, custom: rule }
  const chain = { authenticators: [caller], store, required: true, rules }
  return serveStdio({
    identity: identityFromSettings(config),
    offer: new CurrentOffer(buildCatalogue(sources, inspector.patterns)),
    inspection: { mode: config.INSPECTION, inspector },
    sealer: sealer([randomBytes(32).toString('base64url')], 'request state'),
    authentication: { required: true, types: ['custom'] },
    identify: (_credential, presented) => identifyGiven(chain, caller, presented),
    store,
    log,
    record () {}, // what was decided shows in the answers
    credential: { type: 'none' },
    maxMessageBytes: config.MAX_REQUEST_BYTES,
    input,
    output
  })
}

async function sourcesOf (
  tools: string | ReadonlyArray<Definition | readonly Definition[]>, config: Config, log: Log
): Promise<Source[]> {
  const folder = typeof tools === 'string' ? tools : undefined
  const loaded = await loadTools(folder, {
    warn: message => log.warn({}, message), debug: config.MCP_DEBUG, builtInTools: config.BUILT_IN_TOOLS
  })
  const given = typeof tools === 'string' ? [] : tools.flat()
  return [...loaded, ...given.map(definition => ({ from: 'testTools', definition }))]
}
