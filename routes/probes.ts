import type { FastifyPluginAsync } from 'fastify'

export interface ProbeOptions {
  /** What this process waits for before it may take traffic; empty when ready. */
  waiting: () => readonly ('redis' | 'audit' | 'draining' | 'starting')[]
}

const PROBE = {
  secureMcp: { public: true, anyHost: true, anyAddress: true, unlogged: true, neverShed: true }, rateLimit: false
}

/** Liveness asks nothing but the event loop; readiness says what is missing, and no more. */
const probes: FastifyPluginAsync<ProbeOptions> = async (app, { waiting }) => {
  app.get('/livez', { config: PROBE }, () => ({ status: 'live' }))

  app.get('/readyz', { config: PROBE }, (_request, reply) => {
    const missing = waiting()
    reply.header('cache-control', 'no-store')
    return missing.length === 0 ? { status: 'ready' } : reply.code(503).send({ status: 'not ready', waiting: missing })
  })
}

export default probes
