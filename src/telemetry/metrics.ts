/**
 * What is counted and timed, in the words of Prometheus. No label holds a
 * name, an id or anything else that a client chooses.
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Health } from '../core/health.ts'

export interface Answered {
  /** As the client sent it; unknown ones are counted together. */
  method: string | undefined
  auth: string | undefined
  /** The reason of a refusal, or `served`. */
  decision: string
  seconds: number
}

export interface Gauges {
  health (): Health
  inFlight (): number
  streams (): number
}

export interface Metrics {
  answered (request: Answered): void
  /** A request was refused that was never read, so that it has no method, caller or time. */
  refused (decision: string): void
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
  /** @param ready whether there is a connection; undefined: the file names it no more */
  up (upstream: string, ready: boolean | undefined): void
}

const STATES: readonly Health[] = ['ok', 'unreachable', 'lost']

export interface MetricsOptions {
  /** With memory, CPU and the event loop of the process; once in a process. */
  process?: boolean
  /** Of this server; absent: not told. */
  version?: string | undefined
}

export function createMetrics ({ process: ofProcess = false, version }: MetricsOptions = {}): Metrics {
  const registry = new Registry()
  const registers = [registry]
  if (ofProcess) collectDefaultMetrics({ register: registry })
  if (version !== undefined) {
    new Gauge({ name: 'mcp_build_info', help: '1, with the version of the server and of Node.', labelNames: ['version', 'node'] as const, registers })
      .set({ version, node: process.version }, 1)
  }

  const requests = new Counter({ name: 'mcp_requests_total', help: 'Answered requests, by what was decided.', labelNames: ['method', 'auth', 'decision'] as const, registers })
  const duration = new Histogram({
    name: 'mcp_request_duration_seconds',
    help: 'From the head of a request to the end of its answer.',
    labelNames: ['method'] as const,
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    registers
  })
  const closed = new Counter({ name: 'mcp_connections_closed_total', help: 'Connections closed to make room for others, and those that found none.', labelNames: ['why'] as const, registers })
  const degraded = new Counter({ name: 'mcp_ratelimit_degraded_total', help: 'Requests counted by this process alone, while shared state could not count.', registers })
  let gauges: Gauges = { health: () => 'ok', inFlight: () => 0, streams: () => 0 }
  const state = new Gauge({
    name: 'mcp_state',
    help: '1 for the condition that shared state is in.',
    labelNames: ['condition'] as const,
    registers,
    collect () { for (const condition of STATES) state.set({ condition }, gauges.health() === condition ? 1 : 0) }
  })
  const inFlight = new Gauge({ name: 'mcp_requests_in_flight', help: 'Requests being answered.', registers, collect () { inFlight.set(gauges.inFlight()) } })
  const streams = new Gauge({ name: 'mcp_streams', help: 'Open event streams.', registers, collect () { streams.set(gauges.streams()) } })

  return {
    answered ({ method, auth, decision, seconds }) {
      const named = method ?? 'none'
      requests.inc({ method: named, auth: auth ?? 'unknown', decision })
      duration.observe({ method: named }, seconds)
    },
    refused (decision) { requests.inc({ method: 'none', auth: 'unknown', decision }) },
    connectionClosed (why) { closed.inc({ why }) },
    degraded: () => degraded.inc(),
    upstreams: upstreamCounters(registers),
    watch (next) { gauges = next },
    text: () => registry.metrics(),
    contentType: registry.contentType
  }
}

function upstreamCounters (registers: Registry[]): UpstreamCounters {
  const calls = new Counter({ name: 'mcp_upstream_calls_total', help: 'Calls that went on to an MCP server behind this one, by what came of them.', labelNames: ['upstream', 'class'] as const, registers })
  const duration = new Histogram({
    name: 'mcp_upstream_duration_seconds',
    help: 'From the beginning of such a call to its answer, waiting for a place included.',
    labelNames: ['upstream'] as const,
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30],
    registers
  })
  const restarts = new Counter({ name: 'mcp_upstream_restarts_total', help: 'Connections to an MCP server behind this one after the first.', labelNames: ['upstream'] as const, registers })
  const up = new Gauge({ name: 'mcp_upstream_up', help: '1 while there is a connection to an MCP server behind this one.', labelNames: ['upstream'] as const, registers })
  return {
    called (upstream, outcome, seconds) {
      calls.inc({ upstream, class: outcome })
      duration.observe({ upstream }, seconds)
    },
    restarted: upstream => restarts.inc({ upstream }),
    up (upstream, ready) {
      if (ready === undefined) up.remove({ upstream })
      else up.set({ upstream }, ready ? 1 : 0)
    }
  }
}
