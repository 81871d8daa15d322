/**
 * Calls of this process that wait for answers of a client, and the way to those of other replicas: a request that
 * brings answers reaches any of them, and the name of a call says which one holds it. A call is never made again:
 * where its replica is gone, whoever asks is told so.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { holderOf, type Principal } from '../core/principal.ts'
import { isRevoked } from '../core/revocation.ts'
import type { Bus } from '../state/bus.ts'
import type { Ledger } from '../state/ledgers.ts'
import { CallContext } from '../tools/context.ts'
import { UpstreamError, type Context, type InputNeeded } from '../tools/tool.ts'
import { AskingCall, type ParkState } from './asking-call.ts'
import { isMembers, member, type Members } from './messages.ts'
import { RemoteCalls, type RemoteRequest } from './remote-calls.ts'
import { answerable } from './questions.ts'

export interface ParkedCallsOptions {
  readonly bus: Bus
  readonly revocations: Ledger
  /** For tests. */
  readonly waitMs?: number | undefined
  readonly silenceMs?: number | undefined
}

/** How long a person may think, ms. */
const WAIT_MS = 600_000
const MAX_OF_PRINCIPAL = 5
const MAX_OF_UPSTREAM = 64
const FORM = /^([A-Za-z0-9_-]{12})\.[0-9a-f-]{36}$/

/** What a call was parked as, where a request brings it back. */
export function parkIn (state: unknown): ParkState | undefined {
  if (!isMembers(state)) return undefined
  const park = member(state, 'park')
  const round = member(state, 'round')
  return typeof park === 'string' && typeof round === 'number' ? { park, round } : undefined
}

export class ParkedCalls {
  readonly #options: ParkedCallsOptions
  readonly #replica = randomBytes(9).toString('base64url')
  readonly #parked = new Map<string, AskingCall>()
  readonly #remote: RemoteCalls
  #stop: (() => void) | undefined

  constructor (options: ParkedCallsOptions) {
    this.#options = options
    this.#remote = new RemoteCalls({
      bus: options.bus,
      replica: this.#replica,
      silenceMs: options.silenceMs,
      goOn: (request, waiting) => this.#goOn(request, waiting)
    })
  }

  get size (): number { return this.#parked.size }

  /** Be there for other replicas. */
  open (): void {
    if (this.#stop !== undefined) return
    const stopRemote = this.#remote.listen()
    const stopRevocations = this.#options.revocations.onChange(() => this.#endRevoked())
    this.#stop = () => {
      stopRemote()
      stopRevocations()
    }
  }

  /** What waits here ends: its upstream is told, and whoever comes back, that it is over. */
  close (): void {
    for (const call of [...this.#parked.values()]) call.abandon()
    this.#stop?.()
    this.#stop = undefined
  }

  /** Make a call that may ask its caller. @returns its result, or what it asks first */
  async begin (
    upstream: string, context: Context, make: (call: AskingCall) => Promise<Members>
  ): Promise<Members | InputNeeded> {
    const call = new AskingCall({
      id: `${this.#replica}.${randomUUID()}`,
      upstream,
      principal: CallContext.hostOf(context).principal,
      capabilities: answerable(context.clientCapabilities),
      log: context.log,
      waitMs: this.#options.waitMs ?? WAIT_MS,
      onPark: call => this.#park(call),
      onOver: call => this.#parked.delete(call.options.id)
    })
    return await call.run(make(call), context)
  }

  /**
   * Go on with a call, wherever it waits.
   *
   * @throws {UpstreamError} where it waits no more, or its replica is gone
   */
  async goOn ({ park, round }: ParkState, upstream: string, context: Context): Promise<Members | InputNeeded> {
    const request = { park, round, upstream, principal: context.caller.id, answers: context.answers }
    const replica = FORM.exec(park)?.[1]
    return replica === undefined || replica === this.#replica
      ? await this.#goOn(request, context)
      : await this.#remote.goOn(replica, request, context)
  }

  async #goOn (
    { park, round, upstream, principal, answers }: RemoteRequest, waiting: Parameters<AskingCall['goOn']>[1]
  ): Promise<Members | InputNeeded> {
    const call = this.#parked.get(park)
    const isHis = call?.options.upstream === upstream && call.options.principal.id === principal
    if (call === undefined || !isHis || !call.awaits(round)) {
      const why = 'it was answered, cancelled, or asked more than ten minutes ago'
      throw new UpstreamError(
        'UPSTREAM_TIMEOUT', `Upstream "${upstream}" does not wait for this answer any more: ${why}. Call again if it may run twice`
      )
    }
    return await call.goOn(answers, waiting)
  }

  #park (call: AskingCall): void {
    const { upstream, principal, id } = call.options
    const all = [...this.#parked.values()].map(({ options }) => options)
    const ofHolder = all.filter(one => holderOf(one.principal) === holderOf(principal)).length
    if (ofHolder >= MAX_OF_PRINCIPAL) throw tooMany(upstream, `${MAX_OF_PRINCIPAL} calls of this caller`)
    if (all.filter(one => one.upstream === upstream).length >= MAX_OF_UPSTREAM) {
      throw tooMany(upstream, `${MAX_OF_UPSTREAM} of its calls`)
    }
    this.#parked.set(id, call)
  }

  #endRevoked (): void {
    const entries = this.#options.revocations.entries()
    const isOver = (principal: Principal) => isRevoked(principal, entries)
    for (const call of [...this.#parked.values()]) if (isOver(call.options.principal)) call.abandon()
  }
}

function tooMany (upstream: string, those: string): UpstreamError {
  return new UpstreamError(
    'UPSTREAM_BUSY', `Upstream "${upstream}" asks a question, and ${those} wait for answers already: the call was ended`
  )
}
