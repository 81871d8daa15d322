import { createHash } from 'node:crypto'
import type { FastifyPluginAsync } from 'fastify'
import { serverCard, type CardOptions } from '../src/mcp/server-card.ts'
import { HIDDEN } from './hidden.ts'

export interface ServerCardOptions extends CardOptions {
  /** Below the prefix of the app that it is registered in. */
  path: string
}

/** `<path>/server-card`, for everyone and for pages of any origin: it says nothing that depends on who asks. */
const card: FastifyPluginAsync<ServerCardOptions> = async (app, { path, ...options }) => {
  const body = JSON.stringify(serverCard(options))
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`
  const headers = {
    'content-type': 'application/mcp-server-card+json; charset=utf-8',
    'cache-control': 'public, max-age=3600',
    'access-control-allow-origin': '*',
    etag
  }
  app.get(
    `${path}/server-card`,
    { schema: HIDDEN, config: { secureMcp: { public: true, anyOrigin: true } } },
    (request, reply) => {
      const known = request.headers['if-none-match']?.split(',').map(tag => tag.trim().replace(/^W\//, '')) ?? []
      reply.headers(headers)
      return known.includes(etag) || known.includes('*') ? reply.code(304).send() : reply.send(body)
    }
  )
}

export default card
