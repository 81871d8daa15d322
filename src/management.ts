/** Composition of the management listener, like src/app.ts. Listens on nothing. */
import { hash, randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import Fastify, { LogController, type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import { AuditLog } from './audit/audit-log.ts'
import { linesInto } from './audit/from-settings.ts'
import { authenticationChain } from './auth/chain.ts'
import { addressedHostCheck, hostCheck, originCheck } from './core/origin.ts'
import { routedTarget } from './core/request-target.ts'
import { sealer } from './core/seal.ts'
import { CHECKS } from './doctor/checks/index.ts'
import { examine, type DoctorFacts } from './doctor/check.ts'
import {
  collectFiles, collectIssuers, collectKeys, collectReplicas, collectSpool, collectState, upstreamFacts
} from './doctor/collect.ts'
import { AppError } from './errors.ts'
import { whyAbsent } from './operate/absent.ts'
import { Idempotency } from './operate/idempotency.ts'
import type { OperateContext, ProcessStatus } from './operate/operation.ts'
import { Performer } from './operate/perform.ts'
import { answerRollCalls } from './operate/roll-call.ts'
import { findRequest } from './operate/record-stream.ts'
import type { Runtime } from './runtime.ts'
import { settingsDigest } from './settings/digest.ts'
import { PRODUCT } from './settings/identity.ts'
import type { Config } from './settings/schema.ts'
import type { Store } from './state/store.ts'
import type { Metrics } from './telemetry/metrics.ts'
import type { Catalogue } from './tools/catalogue.ts'
import address from '../plugins/address.ts'
import { auditRecords, auditTurns, refusedOutside } from '../plugins/audit.ts'
import auth from '../plugins/auth.ts'
import errors from '../plugins/errors.ts'
import jsonBody from '../plugins/json-body.ts'
import origin from '../plugins/origin.ts'
import rateLimit from '../plugins/rate-limit.ts'
import requestContext, { requestIds } from '../plugins/request-context.ts'
import sameSite from '../plugins/same-site.ts'
import { SecureMcp } from '../plugins/service.ts'
import state from '../plugins/state.ts'
import strangers from '../plugins/strangers.ts'
import transport from '../plugins/transport.ts'
import operationRoutes from '../routes/api/operations.ts'
import metricsRoute from '../routes/metrics.ts'

export interface ManagementOptions {
  config: Config
  /** Opened by the caller, who closes it. */
  store: Store
  /** That of the public listener, whose offer it shows. */
  runtime: Runtime
  /** How much that listener has to do. */
  traffic: { readonly inFlight: number, readonly streams: number, readonly draining: boolean }
  metrics: Metrics
  /** That of the public listener. Absent: the request line goes to the log alone. */
  audit?: AuditLog
  logger: FastifyBaseLogger
}

/** Everything here but `/metrics` needs an operator's credential, and is found out to be absent only with one. */
export async function buildManagement (options: ManagementOptions): Promise<FastifyInstance> {
  const { config, store, runtime, metrics, logger } = options
  const audit = options.audit ?? new AuditLog({ out: linesInto(logger) })
  const requestId = requestIds()
  const app = listener(logger, requestId)
  // Nothing of another origin has business here.
  const { host, protocol } = new URL(config.MANAGEMENT_URL)
  const [isAddress, isOwn] = [addressedHostCheck(config.MANAGEMENT_HOST), hostCheck([host], protocol)]
  const allowed = {
    isHost: (host: string | undefined) => isAddress(host) || isOwn(host),
    isOrigin: (origin: string | undefined) => origin === undefined
  }
  const { authenticators, rules } = runtime
  // An operator shows a credential also where callers need none.
  const identify = authenticationChain({ authenticators, store, required: true, rules })

  app.decorate('secureMcp', new SecureMcp(app.log))
  await app.register(requestContext)
  await app.register(errors, { problemDetails: true })
  await app.register(auditTurns, { audit })
  await app.register(state, { store, borrowed: true })
  await app.register(origin, allowed)
  await app.register(sameSite)
  await app.register(address, { isProxy: () => false })
  await app.register(transport, { allowed, requestId, onRefused: trace => refusedOutside(trace, metrics, audit) })
  await app.register(strangers, { rule: rules.none })
  await app.register(auth, { identify, publicUrl: '', operatorsOnly: true })
  await app.register(rateLimit, { rule: rules.none })
  await app.register(auditRecords, { audit })
  await app.register(jsonBody)
  app.setNotFoundHandler(() => { throw new AppError('NOT_FOUND', 'There is nothing here') })

  await app.register(metricsRoute, { metrics })
  const idempotency = new Idempotency(store, sealer(runtime.secrets, 'idempotency'))
  const performer = new Performer(() => contextOf(options), idempotency, done => audit.operation(done))
  await app.register(operationRoutes, { performer, product: PRODUCT })
  const stop = answerRollCalls(store.bus, () => ({
    name: NAME, version: PRODUCT.version, settings: settingsDigest(config), tools: toolsDigest(runtime.offer.current)
  }))
  app.addHook('onClose', async () => stop())
  return app
}

/** What operations work on, as it is now. */
function contextOf ({ config, store, runtime, traffic }: ManagementOptions): OperateContext {
  const { offer, inspection, authenticators, rules, upstreams } = runtime
  const hosts = {
    isHost: hostCheck(config.ALLOWED_HOSTS, new URL(config.PUBLIC_URL).protocol),
    isOrigin: originCheck(config.ALLOWED_ORIGINS)
  }
  return {
    store,
    catalogue: offer.current,
    inspection,
    authenticators,
    rules,
    hosts,
    seesCounts: true,
    whyAbsent: target => whyAbsent(upstreams?.statuses() ?? [], target),
    url: `${config.PUBLIC_URL}/mcp`,
    findRequest: requestId => findRequest(store.records, config.AUDIT_DIR, requestId),
    keepRevocationsMs: config.OAUTH2_MAX_TOKEN_AGE_MS + config.OAUTH2_CLOCK_SKEW_MS,
    folder: config.AUDIT_DIR,
    status: () => statusOf(config, runtime, traffic),
    examine: async only => {
      const checks = CHECKS.filter(({ id }) => id.startsWith(only))
      return examine(checks, await factsOf({ config, store, runtime }))
    }
  }
}

/** What the doctor judges, as this process sees it. */
async function factsOf (
  { config, store, runtime: { offer, oauth2, upstreams } }: Pick<ManagementOptions, 'config' | 'store' | 'runtime'>
): Promise<DoctorFacts> {
  const [state, keys, issuers, spool, replicas] = await Promise.all([
    collectState(config, store),
    collectKeys(config, store, offer.current).catch((error: Error) => ({ fault: error.message })),
    oauth2 === undefined ? undefined : collectIssuers(oauth2.issuers, config.OAUTH2_ALGORITHMS),
    collectSpool(config, Date.now()),
    collectReplicas(config, store)
  ])
  return {
    settings: { config, warnings: [], node: process.version, now: Date.now() },
    files: collectFiles(config),
    state,
    keys,
    issuers,
    spool,
    replicas,
    upstreams: upstreams === undefined ? undefined : upstreamFacts(upstreams.statuses())
  }
}

/** Of this process: containers may share a host name. */
const NAME = `${hostname()}-${randomBytes(3).toString('hex')}`
const STARTED = Date.now()

/** The same wherever the same tools are offered. */
function toolsDigest ({ tools }: Catalogue): string {
  const listed = [...tools.values()].map(({ tool: { name, description } }) => [name, description])
  return hash('sha256', JSON.stringify(listed.sort()), 'hex').slice(0, 12)
}

function statusOf (
  config: Config, { authentication, oauth2 }: Runtime, { inFlight, streams, draining }: ManagementOptions['traffic']
): ProcessStatus {
  return {
    version: PRODUCT.version,
    node: process.version,
    settings: settingsDigest(config),
    started: STARTED,
    inFlight,
    streams,
    draining,
    authentication,
    issuers:
      oauth2?.issuers.map(({ name, metadataUrl, up, keys }) => ({
        issuer: name, metadata: metadataUrl !== undefined, up, keysAgeMs: keys?.ageMs
      })) ?? [],
    inspection: config.INSPECTION
  }
}

function listener (logger: FastifyBaseLogger, requestId: () => string): FastifyInstance {
  const app = Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    rewriteUrl: ({ url }) => routedTarget(url ?? '/', ''),
    routerOptions: { maxParamLength: 1024 },
    bodyLimit: 65_536,
    requestTimeout: 10_000,
    keepAliveTimeout: 72_000,
    forceCloseConnections: 'idle',
    http: { headersTimeout: 5_000, connectionsCheckingInterval: 500, maxHeaderSize: 32_768, requireHostHeader: false },
    genReqId: requestId,
    clientErrorHandler: (error, socket) => app.secureMcp.transport.unreadable(error, socket)
  }) as unknown as FastifyInstance
  app.server.maxConnections = 100
  // A DELETE names everything in its path.
  app.addHttpMethod('DELETE', { hasBody: false, overrideExisting: true })
  return app
}
