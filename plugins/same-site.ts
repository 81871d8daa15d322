import fp from 'fastify-plugin'
import { AppError } from '../src/errors.ts'

/** Who asks by himself, or from a page of this very origin. Programs that are no browser say nothing. */
const OURS: ReadonlySet<unknown> = new Set([undefined, 'same-origin', 'none'])

/**
 * Refuses what pages of other sites, and of other ports of this host, make a
 * browser ask (Fetch Metadata): `SameSite` does not tell ports apart.
 */
export default fp(async function sameSite (app) {
  app.addHook('onRequest', function checkSite ({ headers }, _reply, done) {
    const site = headers['sec-fetch-site']
    if (OURS.has(site)) return done()
    done(new AppError(
      'CROSS_SITE',
      'Pages of other sites have no business here',
      { rule: `sec-fetch-site ${String(site).slice(0, 32)}` }
    ))
  })
}, { name: 'secure-mcp/same-site', fastify: '5.x', dependencies: ['secure-mcp/origin'] })
