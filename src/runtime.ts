/** What both listeners, stdio and the commands share: the catalogue, the authenticators, the limits, the seal. */
import { randomBytes } from 'node:crypto'
import { apiKeyAuthenticator } from './auth/api-keys.ts'
import type { Authenticator } from './auth/authenticator.ts'
import { authenticationChain, type ChainOptions, type Identify } from './auth/chain.ts'
import { loadCustomAuthenticator } from './auth/custom.ts'
import { oauth2FromSettings, type OAuth2, type RefreshPolicies } from './auth/oauth2/from-settings.ts'
import type { RateLimit } from './core/limit.ts'
import type { AuthType } from './core/principal.ts'
import type { Inspector } from './core/inspection.ts'
import type { Identity } from './core/identity.ts'
import { sealer } from './core/seal.ts'
import { sessionIds, type SessionIds } from './core/session.ts'
import { gatewayName } from './core/via.ts'
import { jwtVerifiers } from './jwt-verifiers.ts'
import type { Inspection } from './decision/layers.ts'
import { classRules } from './settings/class-rules.ts'
import { identityFromSettings } from './settings/identity.ts'
import { inspectorFromSettings } from './settings/inspection.ts'
import type { Config } from './settings/schema.ts'
import type { Store } from './state/store.ts'
import type { Log } from './telemetry/log.ts'
import { buildCatalogue, type Catalogue, type Source } from './tools/catalogue.ts'
import { loadToolHook } from './tools/hook.ts'
import { loadTools } from './tools/load.ts'
import { CurrentOffer } from './tools/offer.ts'
import type { ToolHook } from './tools/tool.ts'
import { Reloader } from './tools/reloader.ts'
import type { OpenWire } from './upstreams/connection.ts'
import type { UpstreamEntry } from './upstreams/entry.ts'
import { upstreamsFromSettings, type FollowedUpstreams } from './upstreams/from-settings.ts'
import { ParkedCalls } from './upstreams/parked-calls.ts'
import { SharedCatalogue } from './upstreams/shared-catalogue.ts'
import { UpstreamSet, type UpstreamCounts } from './upstreams/upstreams.ts'

export interface RuntimeOptions {
  config: Config
  store: Store
  logger: Log
  /** Another app says who is calling: no credential is read. */
  given?: boolean | undefined
  /** Runs around calls. Absent: what TOOL_HOOK names. */
  toolHook?: ToolHook | undefined
  /** Where the definitions come from. Absent: the built-in ones and those of TOOLS_DIR. */
  loadSources?: ((query: string) => Promise<readonly Source[]>) | undefined
  /** Definitions beside these. For tests. */
  sources?: readonly Source[] | undefined
  /** How often authorization servers are asked. For tests. */
  oauth2Policies?: RefreshPolicies | undefined
  /** Load tools again when their files change. */
  reload?: boolean | undefined
  /** Of the process, for the servers of MCP_SERVERS_FILE; absent: there are none. */
  env?: Readonly<Record<string, string | undefined>> | undefined
  /** MCP servers behind this one in place of those of MCP_SERVERS_FILE. For tests. */
  upstreams?: { readonly entries: readonly UpstreamEntry[], readonly open: OpenWire } | undefined
  /** Counts what happens to them. */
  upstreamCounts?: UpstreamCounts | undefined
}

export interface Runtime {
  identity: Identity
  /** Absent where there is none. */
  toolHook: ToolHook | undefined
  offer: CurrentOffer
  /** Offer these from now on. @throws {UsageError} where one is wrong; then nothing changes */
  offerInstead (sources: readonly Source[]): void
  inspection: Inspection
  authenticators: readonly Authenticator[]
  rules: Readonly<Record<AuthType, RateLimit>>
  identify: Identify
  /** What `identify` is made of. */
  chain: ChainOptions
  sealer: ReturnType<typeof sealer>
  /** What seals and signs, the first first: STATE_SECRET, or one of this process. */
  secrets: readonly string[]
  sessionIds: SessionIds
  authentication: { required: boolean, types: readonly string[] }
  /** Absent where it is off. */
  oauth2: OAuth2 | undefined
  /** Absent where there are none. */
  upstreams: UpstreamSet | undefined
  /** The name of this gateway towards others. */
  gateway: string
  /** Read MCP_SERVERS_FILE and the secrets that it names now. */
  rereadUpstreams (): Promise<void>
  close (): Promise<void>
}

/** @throws {UsageError} for a tool or authenticator module that is wrong */
export async function buildRuntime (options: RuntimeOptions): Promise<Runtime> {
  const { config, store, logger, sources = [], oauth2Policies, given = false, reload = false } = options
  const { loadSources = query => sourcesFromSettings(config, logger, query) } = options
  const rules = classRules(config)
  const links: Authenticator[] = [apiKeyAuthenticator({ store, rule: rules.api_key })]
  const oauth2 = config.OAUTH2_AUTH_SERVER.length === 0
    ? undefined
    : await oauth2FromSettings({ config, store, log: logger, makeVerifiers: jwtVerifiers, policies: oauth2Policies })
  if (oauth2 !== undefined) links.push(oauth2.authenticator)
  if (config.AUTHENTICATOR !== undefined) links.push(await loadCustomAuthenticator(config.AUTHENTICATOR))

  const chain = { authenticators: links, store, required: config.MCP_AUTH_ENABLED, rules }
  const secrets = config.STATE_SECRET.length > 0 ? config.STATE_SECRET : [randomBytes(32).toString('base64url')]
  const inspector = inspectorFromSettings(config)
  if (config.INSPECTION !== 'off') inspector.prepare()
  const load = async (query: string) => buildCatalogue([...await loadSources(query), ...sources], inspector.patterns)
  const identity = identityFromSettings(config)
  const offer = new CurrentOffer(await load(''))
  const gateway = gatewayName(secrets[0]!)
  const followed = upstreamsFrom(options, { info: identity.info, gateway }, offer, inspector)
  const upstreams = followed?.set
  const replace = (own: Catalogue): void => {
    if (upstreams === undefined) offer.replace(own); else upstreams.replaceOwn(own)
  }
  const reloader = reload ? new Reloader({ dir: config.TOOLS_DIR, load, offer: { replace }, log: logger }) : undefined
  return {
    identity,
    toolHook: options.toolHook ?? (config.TOOL_HOOK === undefined ? undefined : await loadToolHook(config.TOOL_HOOK)),
    offer,
    offerInstead: sources => replace(buildCatalogue(sources, inspector.patterns)),
    inspection: { mode: config.INSPECTION, inspector },
    authenticators: links,
    rules,
    identify: authenticationChain(chain),
    chain,
    sealer: sealer(secrets, 'request state'),
    secrets,
    sessionIds: sessionIds(secrets),
    authentication: { required: config.MCP_AUTH_ENABLED, types: given ? ['custom'] : links.map(({ type }) => type) },
    oauth2,
    upstreams,
    gateway,
    rereadUpstreams: async () => await followed?.reload(),
    async close () {
      reloader?.close()
      await followed?.stop()
      await Promise.all(links.map(link => link.close?.()))
    }
  }
}

function upstreamsFrom (
  options: RuntimeOptions,
  { info, gateway }: Pick<Identity, 'info'> & { gateway: string },
  offer: CurrentOffer,
  { patterns }: Inspector
): FollowedUpstreams | undefined {
  const { upstreams, upstreamCounts: counts, store, logger: log, env, config } = options
  const clientInfo = { name: info.name, version: info.version }
  const shared = new SharedCatalogue(store, log)
  const parked = new ParkedCalls(store)
  if (upstreams !== undefined) {
    const set = new UpstreamSet({ shared, parked, ...upstreams, offer, log, clientInfo, gateway, counts })
    return { set, async reload () {}, async stop () {} }
  }
  if (env === undefined) return undefined
  return upstreamsFromSettings({ config, env, log, shared, parked, offer, clientInfo, gateway, counts, patterns })
}

/** The built-in tools, where they are wanted, and those of TOOLS_DIR. */
async function sourcesFromSettings (config: Config, logger: Log, query: string): Promise<Source[]> {
  return await loadTools(config.TOOLS_DIR, {
    warn: message => logger.warn({}, message), debug: config.MCP_DEBUG, builtInTools: config.BUILT_IN_TOOLS, query
  })
}
