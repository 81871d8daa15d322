import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import { answerPreflight } from '../plugins/known-routes.ts'
import { HIDDEN } from './hidden.ts'

/**
 * Answers the preflights of browsers for the routes that are registered after
 * it, inside an app that answers all others. On a listener of its own
 * plugins/known-routes.ts does that for every path.
 */
export function collectPreflights (app: FastifyInstance): FastifyPluginAsync {
  const methodsOf = new Map<string, Set<string>>()
  app.addHook('onRoute', ({ routePath, method }) => {
    const methods = methodsOf.get(routePath) ?? new Set()
    for (const one of [method].flat()) if (one !== 'OPTIONS') methods.add(one)
    methodsOf.set(routePath, methods)
  })
  return async app => {
    for (const [url, methods] of [...methodsOf]) {
      if (url.includes('*')) continue
      app.options(url, { schema: HIDDEN, config: { secureMcp: { public: true } } }, (request, reply) => {
        answerPreflight(request, reply, methods)
        return reply
      })
    }
  }
}
