import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { Convert } from 'typebox/value'
import { AppError } from '../../src/errors.ts'
import { openApi } from '../../src/operate/openapi.ts'
import type { Operation } from '../../src/operate/operation.ts'
import { OPERATIONS } from '../../src/operate/operations/index.ts'
import type { Performer } from '../../src/operate/perform.ts'

export interface OperationRoutesOptions {
  performer: Performer
  /** Of this server, for the document. */
  product: { name: string, version: string }
}

/** One route for each operation of the table, and the document that describes them. */
const operationRoutes: FastifyPluginAsync<OperationRoutesOptions> = async (app, { performer, product }) => {
  app.addHook('onSend', async (_request, reply) => {
    reply.headers({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' })
  })

  for (const operation of OPERATIONS) {
    const { method, path: url } = operation
    app.route({ method, url, handler: (request, reply) => handle(operation, performer, request, reply) })
  }

  const document = openApi(OPERATIONS, { title: `${product.name} management API`, version: product.version })
  app.get('/api/openapi.json', () => document)
}

export default operationRoutes

async function handle (
  operation: Operation, performer: Performer, request: FastifyRequest, reply: FastifyReply
): Promise<unknown> {
  const { headers, secureMcp: { caller, trace } } = request
  const { status, body, version, replayed } = await performer.perform(operation, {
    operator: caller!.principal,
    input: inputOf(operation, request),
    ifMatch: headers['if-match'],
    idempotencyKey: headers['idempotency-key'] as string | undefined,
    trace
  })
  reply.code(status)
  if (version !== undefined) reply.header('etag', `"${version}"`)
  if (replayed) reply.header('idempotent-replayed', 'true')
  return status === 204 ? reply.send() : body
}

/** Path, query and body as one. What stands in the path stands nowhere else. */
function inputOf (operation: Operation, { params, query, body }: FastifyRequest): Record<string, unknown> {
  const named = params as Record<string, string>
  const inBody = operation.method === 'POST' || operation.method === 'PATCH'
  const given = inBody ? body ?? {} : Convert(operation.input, { ...(query as object) })
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new AppError('INVALID_REQUEST', 'The body must be a JSON object')
  }
  if (inBody && Object.keys(query as object).length > 0) {
    throw new AppError('INVALID_REQUEST', 'Send everything in the body, nothing in the query')
  }
  const twice = Object.keys(named).find(name => Object.hasOwn(given, name))
  if (twice !== undefined) throw new AppError('INVALID_REQUEST', `${twice} stands in the path, and nowhere else`)
  return { ...given, ...named }
}
