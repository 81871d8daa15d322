import fp from 'fastify-plugin'
import { addressSet, clientAddress, normalAddress, type IsProxy } from '../src/core/address.ts'
import { judgeAddress } from '../src/decision/layers.ts'
import { AppError } from '../src/errors.ts'
import { redact } from '../src/telemetry/redact.ts'
import { refused } from './refused.ts'
import { routeOf } from './request-context.ts'

export interface AddressOptions {
  /** Whose X-Forwarded-For counts. Absent: the app knows, and `request.ip` is the client. */
  isProxy?: IsProxy | undefined
}

/** Names the caller's address and refuses the blocked ones, before anything else is read. */
export default fp<AddressOptions>(async function address (app, { isProxy }) {
  const { blocklist } = app.secureMcp.store
  const blocked = addressSet(blocklist.entries().keys())
  const stop = blocklist.onChange(({ added, removed }) => {
    for (const range of added) blocked.add(range)
    for (const range of removed) blocked.delete(range)
  })
  app.addHook('onClose', async () => stop())

  app.secureMcp.blocked = blocked

  app.addHook('onRequest', function nameAddress (request, _reply, done) {
    const { secureMcp, socket, headers } = request
    const peer = socket.remoteAddress ?? ''
    const client = isProxy === undefined
      ? normalAddress(request.ip)
      : clientAddress(peer, headers['x-forwarded-for'] as string | undefined, isProxy)
    secureMcp.address = client ?? normalAddress(peer) ?? '0.0.0.0'
    if (routeOf(request).anyAddress === true) return done()
    if (client === undefined && peer !== '') {
      return done(
        new AppError('INVALID_REQUEST', 'X-Forwarded-For holds an entry that is no address', {
          cause:
            `the proxy ${secureMcp.address} wrote an X-Forwarded-For without an address: ` +
            `${redact(String(headers['x-forwarded-for']).slice(-128))}; see ${isProxy === undefined ? 'Fastify({ trustProxy })' : 'TRUST_PROXY'}`
        })
      )
    }
    const refusal = judgeAddress(secureMcp.address, blocked)
    if (refusal === undefined) return done()
    done(refused(refusal, 'This address is blocked'))
  })
}, { name: 'secure-mcp/address', fastify: '5.x', dependencies: ['secure-mcp/origin'] })
