// A Fastify app of somebody else, with what such apps have. What is not a dependency of this project is fetched into .cache.
import { mkdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import cookie from '@fastify/cookie'
import rateLimit from '@fastify/rate-limit'
import Fastify, { type FastifyInstance, type FastifyPluginAsync, type FastifyServerOptions } from 'fastify'
import fp from 'fastify-plugin'
import { fetched } from './npm.ts'

const PACKAGES = ['@fastify/helmet@13.2.0', '@fastify/under-pressure@9.2.0', '@fastify/view@12.0.0', '@fastify/cors@11.4.3', '@fastify/swagger@9.9.3', 'ejs@7.0.2']

declare module 'fastify' {
  interface FastifyRequest {
    visitor: { name: string } | undefined
  }
}

/** A package of other people. */
export function foreign (name: string): FastifyPluginAsync<Record<string, unknown>> {
  const require = createRequire(join(fetched('foreign-app', PACKAGES), 'index.js'))
  return require(name) as FastifyPluginAsync<Record<string, unknown>>
}

export interface ForeignOptions {
  /** Where this product is registered, if it is: before everything of theirs, or after it. */
  place?: 'first' | 'last'
  add?: (app: FastifyInstance) => Promise<void>
  fastify?: FastifyServerOptions
  /** Requests of an address in a minute, over all routes. */
  max?: number
}

/** Their app: authentication, error handler, parsers, limiter, OpenAPI, helmet, under-pressure, views, a prefix, a page for what is not found. */
export async function foreignApp (folder: string, { place, add, fastify = {}, max = 1000 }: ForeignOptions = {}): Promise<FastifyInstance> {
  const app = Fastify({ bodyLimit: 50, genReqId: () => 'theirs', ...fastify }) as FastifyInstance
  if (place === 'first') await add?.(app)
  mkdirSync(join(folder, 'views'), { recursive: true })
  writeFileSync(join(folder, 'views/hello.ejs'), '<p>Hello <%= name %></p>')
  await app.register(foreign('@fastify/helmet'), { contentSecurityPolicy: { directives: { defaultSrc: ["'self'"] } } })
  await app.register(foreign('@fastify/cors'), { origin: ['https://pages.example'] })
  await app.register(foreign('@fastify/under-pressure'), { exposeStatusRoute: '/status', maxEventLoopDelay: 60_000 })
  await app.register(rateLimit, { max, timeWindow: 60_000 })
  await app.register(cookie)
  await app.register(foreign('@fastify/swagger'), { openapi: { info: { title: 'Theirs', version: '1' } } })
  await app.register(foreign('@fastify/view'), { engine: { ejs: createRequire(join(fetched('foreign-app', PACKAGES), 'index.js'))('ejs') }, root: join(folder, 'views') })
  await app.register(theirs)
  if (place === 'last') await add?.(app)
  await app.ready()
  return app
}

/** Names that this product might have used, or once did. */
const NAMES_ON_REQUESTS = ['caller', 'address', 'rpc', 'verdict', 'refusal', 'takes', 'turn', 'trace', 'placeOf']
const NAMES_ON_APP = ['store', 'mcp', 'traffic', 'metrics', 'identify', 'login', 'blocked', 'transport', 'countStranger']

const theirs = fp(async function theirs (app: FastifyInstance) {
  for (const name of NAMES_ON_REQUESTS) app.decorateRequest(name, `their ${name}` as never)
  for (const name of NAMES_ON_APP) app.decorate(name, `their ${name}` as never)
  for (const name of ['auth', 'state', 'errors', 'address']) await app.register(fp(async () => {}, { name }))

  app.decorateRequest('visitor', undefined)
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-theirs', 'yes')
    const user = request.cookies?.user
    request.visitor = user === undefined ? undefined : { name: user }
  })
  app.addHook('onSend', async (_request, reply, payload) => {
    reply.header('x-sent', 'by them')
    return payload
  })
  app.setErrorHandler((error, _request, reply) => {
    const { statusCode = 500, message } = error as { statusCode?: number, message: string }
    reply.code(statusCode).type('text/plain').send(`their words: ${message}`)
  })
  app.setNotFoundHandler((request, reply) => { reply.code(404).type('text/plain').send(`nothing of theirs at ${request.url}`) })
  app.addContentTypeParser('application/xml', { parseAs: 'string' }, (_request, body, done) => done(null, { xml: body }))

  app.get('/', { schema: { summary: 'A page' } as object }, (_request, reply) => (reply as unknown as { view (name: string, data: object): unknown }).view('hello.ejs', { name: 'Ada' }))
  app.post('/json', async request => ({ got: request.body }))
  app.post('/xml', async request => request.body)
  app.get('/user', async request => request.visitor ?? { name: 'nobody' })
  app.get('/names', async request => ({ request: NAMES_ON_REQUESTS.map(name => (request as never)[name]), app: NAMES_ON_APP.map(name => (app as never)[name]) }))
  app.get('/error', async () => { throw new Error('broken') })
  app.get('/openapi', async () => (app as unknown as { swagger (): unknown }).swagger())
  await app.register(async inner => {
    inner.addHook('preHandler', async request => {
      if (request.visitor === undefined) throw Object.assign(new Error('log in first'), { statusCode: 401 })
    })
    inner.get('/inside', { schema: { response: { 200: { type: 'object', properties: { a: { type: 'string' } } } } } }, async () => ({ a: 'b', c: 'd' }))
  }, { prefix: '/api' })
})

/** What their users ask of it. */
export const THEIR_REQUESTS: ReadonlyArray<{ method?: 'GET' | 'POST' | 'OPTIONS' | 'PUT' | 'HEAD', url: string, headers?: Record<string, string>, payload?: string }> = [
  { url: '/' },
  { method: 'HEAD', url: '/' },
  { url: '/', headers: { host: 'another.example' } },
  { url: '/', headers: { origin: 'https://evil.example' } },
  { method: 'POST', url: '/json', headers: { 'content-type': 'application/json' }, payload: '{"a":1}' },
  { method: 'POST', url: '/json', headers: { 'content-type': 'application/json' }, payload: '{"a":1,"a":2,"id":3}' },
  { method: 'POST', url: '/json', headers: { 'content-type': 'application/json' }, payload: `{"a":"${'x'.repeat(60)}"}` },
  { method: 'POST', url: '/json', headers: { 'content-type': 'application/json' }, payload: '{' },
  { method: 'POST', url: '/json', headers: { 'content-type': 'text/plain' }, payload: 'text' },
  { method: 'POST', url: '/json', headers: { 'content-type': 'application/x-unknown' }, payload: 'x' },
  { method: 'POST', url: '/xml', headers: { 'content-type': 'application/xml' }, payload: '<a/>' },
  { url: '/user', headers: { cookie: 'user=ada' } },
  { url: '/user', headers: { authorization: 'Bearer wrong' } },
  { url: '/names' },
  { url: '/error' },
  { url: '/openapi' },
  { url: '/status' },
  { url: '/api/inside' },
  { url: '/api/inside', headers: { cookie: 'user=ada' } },
  { url: '/nope' },
  { url: '/.well-known/anything' },
  { method: 'PUT', url: '/json' },
  { method: 'OPTIONS', url: '/nope' },
  { method: 'OPTIONS', url: '/json', headers: { origin: 'https://pages.example', 'access-control-request-method': 'POST' } },
  { method: 'OPTIONS', url: '/json', headers: { origin: 'https://evil.example', 'access-control-request-method': 'POST' } }
]
