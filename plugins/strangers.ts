import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { AddressLimit } from '../src/auth/address-limit.ts'
import { rateLimited, type RateLimit } from '../src/core/limit.ts'

export interface StrangersOptions {
  rule: RateLimit
}

/**
 * One limit for all that nobody in particular asks for: public routes, absent ones, preflights, requests
 * without a credential.
 */
export default fp<StrangersOptions>(async function strangers (app, { rule }) {
  const limit = new AddressLimit(app.secureMcp.store, 'sub:none:', rule)
  app.secureMcp.countStranger = async function countStranger ({ secureMcp }: FastifyRequest) {
    const result = await limit.count(secureMcp.address)
    secureMcp.rateLimit = result
    if (!result.allowed) throw rateLimited(result)
  }
}, { name: 'secure-mcp/strangers', fastify: '5.x', dependencies: ['secure-mcp/address'] })
