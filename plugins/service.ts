import type { Identify } from '../src/auth/chain.ts'
import type { AddressSet } from '../src/core/address.ts'
import type { ApiKeyRecord } from '../src/core/api-key.ts'
import type { McpService } from '../src/mcp/dispatch.ts'
import type { Store } from '../src/state/store.ts'
import type { Change, Definition } from '../src/tools/tool.ts'
import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import type { Login } from './browser-login.ts'
import type { Traffic } from './load-shedding.ts'
import type { Transport } from './transport.ts'

/** A key as people see it: no hashes. Times are ms since the epoch. */
export type AppKey = Omit<ApiKeyRecord, 'hash' | 'previous'>

/** API keys, as the commands make and revoke them. `which` is an id, or a name that only one living key has. */
export interface AppKeys {
  /** @param wanted lifeMs: how long it may be used, ms; absent: until it is revoked */
  create (wanted: {
    name: string
    permissions: readonly string[]
    owner?: string
    lifeMs?: number
    cidrs?: readonly string[]
    limit?: number
  }): Promise<{ key: string; record: AppKey }>
  list (): Promise<AppKey[]>
  /** @param overlapMs how long the key before works beside the new one, ms; default one day */
  rotate (which: string, overlapMs?: number): Promise<{ key: string; record: AppKey }>
  /** Its open streams end, on every replica. */
  revoke (which: string): Promise<void>
}

/** Definitions, or a folder of them. */
export type Tools = readonly Definition[] | string

/**
 * Everything of this service on an app, in one object, so that no name of
 * another app clashes with one here. Each plugin puts in what those after it
 * use; the order of src/plugin.ts says who is after whom.
 */
export class SecureMcp {
  keys!: AppKeys
  /** The metrics of this endpoint, as Prometheus reads them. */
  metrics!: () => Promise<string>
  /**
   * Offer other tools from now on. Calls that run go on with what they began with; clients whose lists differ are told.
   *
   * @throws {UsageError} for tools that are wrong; then the last ones stay
   */
  reload!: (tools: Tools) => Promise<void>
  /** @internal The turn of the event loop, counted. */
  turn!: () => number
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

  /** Tell subscribers, on every replica, that something changed. */
  changed (what: Change): void {
    this.mcp.changed(what)
  }
}

declare module 'fastify' {
  interface FastifyInstance {
    readonly secureMcp: SecureMcp
  }
}
