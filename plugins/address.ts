import fp from 'fastify-plugin'
import { addressSet, normalAddress } from '../src/core/address.ts'
import { AppError } from '../src/errors.ts'

/** Names the caller's address and refuses the blocked ones, before anything else is read. */
export default fp(async function address (app) {
  const { blocklist } = app.store
  const blocked = addressSet(blocklist.entries().keys())
  const stop = blocklist.onChange(({ added, removed }) => {
    for (const range of added) blocked.add(range)
    for (const range of removed) blocked.delete(range)
  })
  app.addHook('onClose', async () => stop())

  app.addHook('onRequest', function nameAddress (request, _reply, done) {
    const { secureMcp } = request
    secureMcp.address = normalAddress(request.ip) ?? normalAddress(request.socket.remoteAddress ?? '') ?? '0.0.0.0'
    if (blocked.size > 0 && blocked.has(secureMcp.address)) {
      return done(new AppError('ADDRESS_BLOCKED', 'This address is blocked'))
    }
    done()
  })
}, { name: 'address', fastify: '5.x', dependencies: ['origin'] })
