/**
 * What is counted and timed, in the words of Prometheus. No label holds a
 * name, an id or anything else that a client chooses: tools are those that ran.
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Health } from '../core/health.ts'

export interface Answered {
  /** As the client sent it; unknown ones are counted together. */
  method: string | undefined
  auth: string | undefined
  /** What the message names, as permissions spell it. */
  target: string | undefined
  /** The reason of a refusal, or `served`. */
  decision: string
  seconds: number
}

export interface Gauges {
  health (): Health
  inFlight (): number
  streams (): number
  /** How old the copy of the revocations is, ms. */
  revocationsAgeMs (): number
  /** How the record of decisions is; undefined where the log alone has it. */
  audit (): AuditGauges | undefined
  /** Of each authorization server: whether it answered the last time, and how old its keys are, ms. */
  issuers (): ReadonlyArray<{ readonly issuer: string, readonly up: boolean, readonly keysAgeMs: number | undefined }>
}

export interface AuditGauges {
  /** Lines of the chain. */
  readonly records: number
  /** Records that nothing kept. */
  readonly lost: number
  readonly spoolBytes: number
  /** How old the oldest line is that no seal covers. */
  readonly unsealedMs: number
  /** How old the oldest line is that was not sent on. */
  readonly shipLagMs: number
  /** How often Redis was full, and older records went early. */
  readonly cuts: number
}

export interface Metrics {
  answered (request: Answered): void
  /**
   * A request was refused that was never read, so that it has no method, caller or time.
   *
   * @param code of the parser
   */
  refused (decision: string, code: string | undefined): void
  /** A connection was closed or not taken. */
  connectionClosed (why: string): void
  /** A request was counted by this process alone. */
  degraded (): void
  /** What happens to MCP servers behind this one. */
  readonly upstreams: UpstreamCounters
  /** Says where the gauges read; once, when the app is built. */
  watch (gauges: Gauges): void
  /** The text that Prometheus reads, and its content type. */
  text (): Promise<string>
  readonly contentType: string
}

/** Names are those of the file of upstreams, which an operator writes. */
export interface UpstreamCounters {
  /** @param outcome `served`, `error`, `cancelled`, or the reason of the failure */
  called (upstream: string, outcome: string, seconds: number): void
  restarted (upstream: string): void
  configError (): void
  /** @param ready whether there is a connection; undefined: the file names it no more */
  up (upstream: string, ready: boolean | undefined): void
}

const STATES: readonly Health[] = ['ok', 'unreachable', 'lost']

export interface MetricsOptions {
  /** With memory, CPU and the event loop of the process; once in a process. */
  process?: boolean
  /** Of this server; absent: not told. */
  version?: string | undefined
  /** Differs where settings differ; absent: not told. */
  settings?: string | undefined
}

/** Until an app is built. */
const UNWATCHED: Gauges = {
  health: () => 'ok',
  inFlight: () => 0,
  streams: () => 0,
  revocationsAgeMs: () => 0,
  audit: () => undefined,
  issuers: () => []
}

export function createMetrics ({ process: ofProcess = false, version, settings }: MetricsOptions = {}): Metrics {
  const registry = new Registry()
  const registers = [registry]
  if (ofProcess) collectDefaultMetrics({ register: registry })
  infoGauges(registers, { version, settings })
  const requests = new Counter({
    name: 'mcp_requests_total',
    help: 'Answered requests, by what was decided.',
    labelNames: ['method', 'auth', 'decision'] as const,
    registers
  })
  const duration = new Histogram({
    name: 'mcp_request_duration_seconds',
    help: 'From the head of a request to the end of its answer.',
    labelNames: ['method'] as const,
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    registers
  })
  const closed = new Counter({
    name: 'mcp_connections_closed_total',
    help: 'Connections closed to make room for others, and those that found none.',
    labelNames: ['why'] as const,
    registers
  })
  const degraded = new Counter({
    name: 'mcp_ratelimit_degraded_total',
    help: 'Requests counted by this process alone, while shared state could not count.',
    registers
  })
  const transport = new Counter({
    name: 'mcp_transport_refused_total',
    help: 'Requests that could not be read as HTTP, by the code of the parser.',
    labelNames: ['code'] as const,
    registers
  })
  const tools = toolMetrics(registers)
  let gauges = UNWATCHED
  gaugesOfLoad(registers, () => gauges)
  gaugesOfTrust(registers, () => gauges)
  gaugesOfAudit(registers, () => gauges.audit())
  return {
    answered ({ method, auth, target, decision, seconds }) {
      const named = method ?? 'none'
      requests.inc({ method: named, auth: auth ?? 'unknown', decision })
      duration.observe({ method: named }, seconds)
      if (method === 'tools/call' && target !== undefined) tools(target, decision, seconds)
    },
    refused (decision, code) {
      requests.inc({ method: 'none', auth: 'unknown', decision })
      if (decision === 'TRANSPORT') transport.inc({ code: code ?? 'other' })
    },
    connectionClosed (why) { closed.inc({ why }) },
    degraded: () => degraded.inc(),
    upstreams: upstreamCounters(registers),
    watch (next) { gauges = next },
    text: () => registry.metrics(),
    contentType: registry.contentType
  }
}

/** What this process is, as labels: two of them for long are a rollout that hangs. */
function infoGauges (registers: Registry[], { version, settings }: MetricsOptions): void {
  if (version !== undefined) {
    new Gauge({
      name: 'mcp_build_info',
      help: '1, with the version of the server and of Node.',
      labelNames: ['version', 'node'] as const,
      registers
    })
      .set({ version, node: process.version }, 1)
  }
  if (settings !== undefined) {
    new Gauge({
      name: 'mcp_settings_info',
      help: '1, with a digest of the settings: replicas with another one were not rolled out.',
      labelNames: ['hash'] as const,
      registers
    }).set({ hash: settings }, 1)
  }
}

/** How state is, and what is under way. */
function gaugesOfLoad (registers: Registry[], gauges: () => Gauges): void {
  const state = new Gauge({
    name: 'mcp_state',
    help: '1 for the condition that shared state is in.',
    labelNames: ['condition'] as const,
    registers,
    collect () { for (const condition of STATES) state.set({ condition }, gauges().health() === condition ? 1 : 0) }
  })
  const inFlight = new Gauge({
    name: 'mcp_requests_in_flight',
    help: 'Requests being answered.',
    registers,
    collect () { inFlight.set(gauges().inFlight()) }
  })
  const streams = new Gauge(
    { name: 'mcp_streams', help: 'Open event streams.', registers, collect () { streams.set(gauges().streams()) } }
  )
}

/** Tools told apart; those after them are counted together. */
const MAX_TOOLS = 500
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30]
/** What came of calls that ran. A name of anything else may be a caller's invention. */
const RAN = /^(served|TOOL_\w+|UPSTREAM_\w+)$/

/** Counts calls by the tool that ran. */
function toolMetrics (registers: Registry[]): (tool: string, decision: string, seconds: number) => void {
  const duration = new Histogram({
    name: 'mcp_tool_duration_seconds',
    help: 'From the head of a call to the end of its answer, for calls that ran.',
    labelNames: ['tool'] as const,
    buckets: BUCKETS,
    registers
  })
  const errors = new Counter({
    name: 'mcp_tool_errors_total',
    help: 'Calls that ran and failed, by what went wrong.',
    labelNames: ['tool', 'class'] as const,
    registers
  })
  const known = new Set<string>()
  return (name, decision, seconds) => {
    if (!RAN.test(decision)) return
    if (known.size < MAX_TOOLS) known.add(name)
    const tool = known.has(name) ? name : 'other'
    duration.observe({ tool }, seconds)
    if (decision !== 'served') errors.inc({ tool, class: decision })
  }
}

/** How much of what others say is current: revocations, and the keys of authorization servers. */
function gaugesOfTrust (registers: Registry[], gauges: () => Gauges): void {
  const age = new Gauge({
    name: 'mcp_revocations_age_seconds',
    help: 'How old the copy of the revocations is.',
    registers,
    collect () { age.set(gauges().revocationsAgeMs() / 1000) }
  })
  const up = new Gauge({
    name: 'mcp_issuer_up',
    help: '1 if the authorization server answered the last time that it was asked.',
    labelNames: ['issuer'] as const,
    registers,
    collect () { for (const { issuer, up: isUp } of gauges().issuers()) up.set({ issuer }, isUp ? 1 : 0) }
  })
  const keys = new Gauge({
    name: 'mcp_issuer_keys_age_seconds',
    help: 'How old the signing keys of the authorization server are.',
    labelNames: ['issuer'] as const,
    registers,
    collect () {
      for (
        const { issuer, keysAgeMs } of gauges().issuers()
      ) if (keysAgeMs !== undefined) keys.set({ issuer }, keysAgeMs / 1000)
    }
  })
}

/** What is on record, and how far from the process it got. */
function gaugesOfAudit (registers: Registry[], figures: () => AuditGauges | undefined): void {
  const total = (name: string, help: string, count: (now: AuditGauges) => number): void => {
    const counter = new Counter({
      name,
      help,
      registers,
      collect () {
        const now = figures()
        counter.reset()
        if (now !== undefined) counter.inc(count(now))
      }
    })
  }
  const level = (name: string, help: string, value: (now: AuditGauges) => number): void => {
    const gauge = new Gauge({
      name,
      help,
      registers,
      collect () {
        const now = figures()
        if (now !== undefined) gauge.set(value(now))
      }
    })
  }
  total('mcp_audit_records_total', 'Lines of the record of decisions that this process wrote.', now => now.records)
  total('mcp_audit_lost_total', 'Records that were lost, since nothing could be written.', now => now.lost)
  total('mcp_audit_cuts_total', 'Times that older records left Redis early, because it was full.', now => now.cuts)
  level('mcp_audit_spool_bytes', 'What the records in AUDIT_DIR take up.', now => now.spoolBytes)
  level('mcp_audit_ship_lag_seconds', 'How old the oldest record is that Redis does not have.', now => now.shipLagMs / 1000)
  level('mcp_audit_sealed_seconds', 'How old the oldest record is that no seal covers.', now => now.unsealedMs / 1000)
}

function upstreamCounters (registers: Registry[]): UpstreamCounters {
  const calls = new Counter({
    name: 'mcp_upstream_calls_total',
    help: 'Calls that went on to an MCP server behind this one, by what came of them.',
    labelNames: ['upstream', 'class'] as const,
    registers
  })
  const duration = new Histogram({
    name: 'mcp_upstream_duration_seconds',
    help: 'From the beginning of such a call to its answer, waiting for a place included.',
    labelNames: ['upstream'] as const,
    buckets: BUCKETS,
    registers
  })
  const restarts = new Counter({
    name: 'mcp_upstream_restarts_total',
    help: 'Connections to an MCP server behind this one after the first.',
    labelNames: ['upstream'] as const,
    registers
  })
  const configErrors = new Counter({
    name: 'mcp_upstream_config_errors_total',
    help: 'Times that MCP_SERVERS_FILE was wrong, so that what was read before stayed in force.',
    registers
  })
  const up = new Gauge({
    name: 'mcp_upstream_up',
    help: '1 while there is a connection to an MCP server behind this one.',
    labelNames: ['upstream'] as const,
    registers
  })
  return {
    called (upstream, outcome, seconds) {
      calls.inc({ upstream, class: outcome })
      duration.observe({ upstream }, seconds)
    },
    restarted: upstream => restarts.inc({ upstream }),
    configError: () => configErrors.inc(),
    up (upstream, ready) {
      if (ready === undefined) up.remove({ upstream })
      else up.set({ upstream }, ready ? 1 : 0)
    }
  }
}
