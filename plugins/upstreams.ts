import fp from 'fastify-plugin'
import type { UpstreamSet } from '../src/upstreams/upstreams.ts'

export interface UpstreamsOptions {
  set: UpstreamSet
}

/**
 * Starts and ends what stands behind this server. Before listening it waits for first lists, not for long;
 * readiness never waits.
 */
export default fp<UpstreamsOptions>(async function upstreams (app, { set }) {
  app.addHook('onReady', () => set.begin())
  // Whoever ends the app has waited for what is in flight: what is left of it would be waited for a second time here.
  app.addHook('onClose', () => set.close(0))
}, { name: 'secure-mcp/upstreams', fastify: '5.x', dependencies: ['secure-mcp/mcp'] })
