import fp from 'fastify-plugin'
import type { Store } from '../src/state/store.ts'

export interface StateOptions {
  /** Opened by the caller, closed with the app. */
  store: Store
  /** True where another app closes it. */
  borrowed?: boolean
}

/** Holds the shared state for everything after it, and closes it last. */
export default fp<StateOptions>(async function state (app, { store, borrowed = false }) {
  app.secureMcp.store = store
  if (borrowed) return
  app.addHook('onClose', () => store.close())
  if (store.kind === 'memory') app.secureMcp.log.warn('state is in memory: run one replica only, or set REDIS_URL')
}, { name: 'secure-mcp/state', fastify: '5.x', dependencies: ['secure-mcp/errors'] })
