/**
 * Going on with a call that another replica holds: answers go there over the bus, and what comes of them comes back.
 * Whoever holds it says every two seconds that it is there, so that its end is noticed and told.
 */
import { randomUUID } from 'node:crypto'
import { AppError } from '../errors.ts'
import type { Bus } from '../state/bus.ts'
import { InputNeeded, UpstreamError, type UpstreamReason } from '../tools/tool.ts'
import type { CallWaiter } from './asking-call.ts'
import type { Members } from './messages.ts'

/** Answers for a call. */
export interface RemoteRequest {
  readonly park: string
  readonly round: number
  readonly upstream: string
  /** Its id: a call goes on for whom it was begun. */
  readonly principal: string
  readonly answers: Readonly<Record<string, unknown>>
}

export interface RemoteCallsOptions {
  readonly bus: Bus
  /** Of this process. */
  readonly replica: string
  /** Goes on with a call of this process. */
  readonly goOn: (request: RemoteRequest, waiting: CallWaiter) => Promise<Members | InputNeeded>
  /** After so long without a sign the other replica is gone, ms. For tests. */
  readonly silenceMs?: number | undefined
}

/** An error of JSON-RPC, as replicas tell it. */
interface RemoteFault {
  readonly rpc: number
  readonly message: string
  readonly rule?: string | undefined
  readonly data: Record<string, unknown>
}

/** What comes of a call, as replicas tell it. */
type RemoteOutcome =
  | { readonly result: Members }
  | Pick<InputNeeded, 'questions' | 'state'>
  | { readonly reason: UpstreamReason, readonly message: string }
  | RemoteFault

type RemoteMessage =
  | { readonly what: 'answers', readonly ask: string, readonly from: string, readonly request: RemoteRequest }
  | { readonly what: 'cancel' | 'alive', readonly ask: string }
  | { readonly what: 'progress', readonly ask: string, readonly said: Parameters<CallWaiter['progress']> }
  | { readonly what: 'log', readonly ask: string, readonly said: Parameters<CallWaiter['message']> }
  | { readonly what: 'outcome', readonly ask: string, readonly outcome: RemoteOutcome }

/** Somebody here who waits for a call elsewhere. */
interface RemoteWaiter {
  readonly waiting: CallWaiter
  resolve (outcome: RemoteOutcome): void
  alive (): void
}

const SILENCE_MS = 10_000
const BEAT_MS = 2000
/** Of what comes back, bytes. */
const MAX_OUTCOME = 262_144
const topicOf = (replica: string): string => `parked:${replica}`

export class RemoteCalls {
  readonly #options: RemoteCallsOptions
  readonly #askers = new Map<string, RemoteWaiter>()
  /** Calls of this process that go on for others. */
  readonly #serving = new Map<string, AbortController>()

  constructor (options: RemoteCallsOptions) {
    this.#options = options
  }

  /** @returns the way to stop */
  listen (): () => void {
    const { bus, replica } = this.#options
    return bus.listen(topicOf(replica), text => { this.#hear(JSON.parse(text) as RemoteMessage) })
  }

  /** @throws {UpstreamError} also where the replica is gone, {AppError} */
  async goOn (replica: string, request: RemoteRequest, waiting: CallWaiter): Promise<Members | InputNeeded> {
    const ask = randomUUID()
    const { silenceMs = SILENCE_MS } = this.#options
    let timer: NodeJS.Timeout | undefined
    const onAbort = () => { this.#tell(replica, { what: 'cancel', ask }).catch(() => {}) }
    try {
      const outcome = await new Promise<RemoteOutcome>((resolve, reject) => {
        const gone = () => reject(goneWith(request.upstream))
        const alive = () => {
          clearTimeout(timer)
          timer = setTimeout(gone, silenceMs)
        }
        this.#askers.set(ask, { waiting, resolve, alive })
        waiting.signal.addEventListener('abort', onAbort, { once: true })
        alive()
        this.#tell(replica, { what: 'answers', ask, from: this.#options.replica, request })
          .then(told => { if (told === 0) gone() }, reject)
      })
      return opened(outcome)
    } finally {
      clearTimeout(timer)
      waiting.signal.removeEventListener('abort', onAbort)
      this.#askers.delete(ask)
    }
  }

  #hear (message: RemoteMessage): void {
    const asker = this.#askers.get(message.ask)
    switch (message.what) {
      case 'answers':
        this.#serve(message).catch(() => {}) // state is gone: the other end notices the silence
        return
      case 'cancel': return this.#serving.get(message.ask)?.abort()
      case 'alive': return asker?.alive()
      case 'progress': return asker?.waiting.progress(...message.said)
      case 'log': return asker?.waiting.message(...message.said)
      case 'outcome': return asker?.resolve(message.outcome)
    }
  }

  async #serve ({ ask, from, request }: RemoteMessage & { what: 'answers' }): Promise<void> {
    const controller = new AbortController()
    this.#serving.set(ask, controller)
    const tell = (message: RemoteMessage) => {
      // Nobody there any more: its client went with it.
      this.#tell(from, message).then(told => { if (told === 0) controller.abort() }, () => {})
    }
    const beat = setInterval(() => tell({ what: 'alive', ask }), BEAT_MS)
    tell({ what: 'alive', ask })
    try {
      const outcome = await outcomeOf(this.#options.goOn(request, {
        signal: controller.signal,
        progress: (...said) => tell({ what: 'progress', ask, said }),
        message: (...said) => tell({ what: 'log', ask, said })
      }))
      await this.#tell(from, { what: 'outcome', ask, outcome: bounded(outcome, request.upstream) })
    } finally {
      clearInterval(beat)
      this.#serving.delete(ask)
    }
  }

  #tell (replica: string, message: RemoteMessage): Promise<number> {
    return this.#options.bus.publish(topicOf(replica), JSON.stringify(message))
  }
}

async function outcomeOf (work: Promise<Members | InputNeeded>): Promise<RemoteOutcome> {
  try {
    const result = await work
    return result instanceof InputNeeded ? { questions: result.questions, state: result.state } : { result }
  } catch (error) {
    const { message } = error as Error
    if (error instanceof UpstreamError) return { reason: error.reason, message }
    if (error instanceof AppError && error.rpc !== undefined) {
      return { rpc: error.rpc, message, rule: error.rule, data: error.data }
    }
    return { rpc: -32603, message: 'Internal error', data: {} }
  }
}

function bounded (outcome: RemoteOutcome, upstream: string): RemoteOutcome {
  if (Buffer.byteLength(JSON.stringify(outcome)) <= MAX_OUTCOME) return outcome
  return {
    reason: 'UPSTREAM_BROKEN',
    message: `Upstream "${upstream}" answered with more than ${MAX_OUTCOME} bytes, which one replica cannot pass to another; call again if it may run twice`
  }
}

function opened (outcome: RemoteOutcome): Members | InputNeeded {
  if ('result' in outcome) return outcome.result
  if ('questions' in outcome) return new InputNeeded(outcome.questions, outcome.state)
  if ('reason' in outcome) throw new UpstreamError(outcome.reason, outcome.message)
  const { rpc, message, rule, data } = outcome
  throw new AppError('TOOL_ERROR', message, { rpc, rule, data })
}

function goneWith (upstream: string): UpstreamError {
  return new UpstreamError(
    'UPSTREAM_UNREACHABLE',
    `The replica that held this call to upstream "${upstream}" is gone. The call may have been carried out, and was not made again; call again if it may run twice`
  )
}
