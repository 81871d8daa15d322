import type { Socket } from 'node:net'
import fp from 'fastify-plugin'
import { addressGroup, normalAddress, type IsProxy } from '../src/core/address.ts'
import { ConnectionPool, type PoolLimits } from '../src/core/connection-pool.ts'
import { retryAfterS } from '../src/core/load.ts'
import { AppError } from '../src/errors.ts'
import { routeOf } from './request-context.ts'

export interface ConnectionsOptions extends PoolLimits {
  isProxy: IsProxy
  /** Told of each connection that was closed or not taken, to count it. */
  onClosed: (why: 'address' | 'room' | 'refused') => void
}

/** How long a connection may rest while no credential was accepted on it, ms. */
const STRANGER_KEEP_ALIVE_MS = 5000
/** What Node itself adds to what it tells, so that a client that uses the last moment is still heard. */
const LEEWAY_MS = 1000
const LOG_EVERY_MS = 10_000

/**
 * Holds connections to their bounds: see src/core/connection-pool.ts. Probes
 * are answered on any of them, however many others there are.
 */
export default fp<ConnectionsOptions>(async function connections (app, { isProxy, onClosed, ...limits }) {
  const pool = new ConnectionPool<Socket>(limits)
  const report = closedReport(app.log)
  const closed = (why: 'address' | 'room' | 'refused', address: string) => {
    onClosed(why)
    report(why, address)
  }

  app.server.on('connection', (socket: Socket) => {
    const address = normalAddress(socket.remoteAddress ?? '') ?? ''
    const { place, closing } = pool.enter(
      socket,
      isProxy(address, 0) ? undefined : addressGroup(address),
      performance.now()
    )
    for (const { connection, why } of closing) {
      connection.destroy()
      closed(why, address)
    }
    if (place === 'none') {
      socket.destroy()
      return closed('refused', address)
    }
    socket.once('close', () => pool.leave(socket))
  })

  app.addHook('onRequest', function useConnection (request, reply, done) {
    const { socket } = request.raw
    const fullService = pool.begin(socket)
    reply.raw.once('close', () => {
      pool.end(socket, performance.now())
      if (pool.isStranger(socket)) socket.setTimeout(STRANGER_KEEP_ALIVE_MS + LEEWAY_MS)
    })
    if (fullService || routeOf(request).neverShed === true) return done()
    done(new AppError('OVERLOADED', 'Server overloaded; retry after Retry-After seconds', {
      rule: 'connections', headers: { 'retry-after': String(retryAfterS(Math.random())), connection: 'close' }
    }))
  })

  app.addHook('preParsing', function knowConnection (request, _reply, payload, done) {
    if (request.secureMcp.caller !== undefined) pool.know(request.raw.socket)
    done(null, payload)
  })

  app.addHook('onSend', function tellKeepAlive (request, reply, payload, done) {
    if (request.secureMcp.caller === undefined && pool.isStranger(request.raw.socket)) {
      reply.header('keep-alive', `timeout=${STRANGER_KEEP_ALIVE_MS / 1000}`)
    }
    done(null, payload)
  })
}, { name: 'secure-mcp/connections', fastify: '5.x', dependencies: ['secure-mcp/request-context'] })

type Counts = Record<'address' | 'room' | 'refused', number>

/** The first is told at once, and then one line for many: whoever opens connections must not fill the log. */
function closedReport (log: {
  warn (data: object, message: string): void
}): (why: keyof Counts, address: string) => void {
  let counts: Partial<Counts> = {}
  let last = ''
  let quiet = false
  const write = () => {
    quiet = Object.keys(counts).length > 0
    if (!quiet) return
    log.warn(
      { closed: counts, last },
      'connections were closed to make room: see MAX_CONNECTIONS and MAX_CONNECTIONS_PER_ADDRESS'
    )
    counts = {}
    setTimeout(write, LOG_EVERY_MS).unref()
  }
  return (why, address) => {
    counts[why] = (counts[why] ?? 0) + 1
    last = address
    if (!quiet) write()
  }
}
