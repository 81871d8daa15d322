import fp from 'fastify-plugin'
import type { UpstreamSet } from '../src/upstreams/upstreams.ts'

export interface UpstreamsOptions {
  set: UpstreamSet
  /** How long calls that are on their way to an upstream have when the app ends, ms. */
  graceMs: number
}

/** Starts and ends what stands behind this server. Before listening it waits for first lists, not for long; readiness never waits. */
export default fp<UpstreamsOptions>(async function upstreams (app, { set, graceMs }) {
  app.addHook('onReady', () => set.begin())
  app.addHook('onClose', () => set.close(graceMs))
}, { name: 'secure-mcp/upstreams', fastify: '5.x', dependencies: ['secure-mcp/mcp'] })
