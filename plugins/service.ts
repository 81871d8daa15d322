import type { Identify } from '../src/auth/chain.ts'
import type { AddressSet } from '../src/core/address.ts'
import type { McpService } from '../src/mcp/dispatch.ts'
import type { Store } from '../src/state/store.ts'
import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import type { Login } from './browser-login.ts'
import type { Traffic } from './load-shedding.ts'
import type { Transport } from './transport.ts'

/**
 * Everything of this service on an app, in one object, so that no name of
 * another app clashes with one here. Each plugin puts in what those after it
 * use; the order of src/plugin.ts says who is after whom.
 */
export class SecureMcp {
  /** @internal Of this service: inside another app a child of its log. */
  readonly log: FastifyBaseLogger
  /** @internal */
  store!: Store
  /** @internal What is in flight. */
  traffic!: Traffic
  /** @internal The blocked ranges, as they are now. */
  blocked!: AddressSet
  /** @internal What the HTTP server refuses before there is a request. */
  transport!: Transport
  /** @internal Who presents a credential. */
  identify!: Identify
  /** @internal Browser login, where it is on. */
  login!: Login
  /** @internal The protocol. */
  mcp!: McpService
  /**
   * @internal Count a request that has no principal by its address.
   *
   * @throws {AppError} RATE_LIMITED, STATE_UNAVAILABLE
   */
  countStranger!: (request: FastifyRequest) => Promise<void>

  /** @internal */
  constructor (log: FastifyBaseLogger) {
    this.log = log
  }
}

declare module 'fastify' {
  interface FastifyInstance {
    readonly secureMcp: SecureMcp
  }
}
