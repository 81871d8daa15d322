/**
 * A call to an upstream of the older revisions that asks on its way to the result. The request that began it is
 * answered with the question; the call waits here, and whoever brings the answers goes on with it.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Principal } from '../core/principal.ts'
import { InputNeeded, type Context, type Question } from '../tools/tool.ts'
import { notAsked } from './connection.ts'
import { UpstreamFault, type Members } from './messages.ts'
import type { OnQuestion } from './peer.ts'
import { mayAnswer, questionOf } from './questions.ts'

/** Who waits for the call now. */
export type CallWaiter = Pick<Context, 'signal' | 'progress' | 'message'>

/** What is sealed with a question, and comes back with its answers. */
export interface ParkState {
  /** `<replica>.<uuid>` */
  readonly park: string
  /** An answer is for one round: it is taken once. */
  readonly round: number
}

export interface AskingCallOptions {
  readonly id: string
  /** Name of the upstream. */
  readonly upstream: string
  readonly principal: Principal
  /** What the client declared that it answers. */
  readonly capabilities: Members
  readonly log: Context['log']
  /**
   * Told before the first question is put to the client.
   *
   * @throws {UpstreamError} UPSTREAM_BUSY where too many calls wait already
   */
  readonly onPark: (call: AskingCall) => void
  /** Its result was taken, or nobody will take it. */
  readonly onOver: (call: AskingCall) => void
  /** How long it waits for answers, ms. */
  readonly waitMs: number
}

interface OpenQuestion {
  readonly question: Question
  resolve (answer: Members): void
}

/** Of one call at once, and in all. */
const MAX_OPEN = 8
const MAX_ASKED = 32

export class AskingCall {
  readonly options: AskingCallOptions
  /** Told at the first question: whoever thinks holds no place at the upstream. */
  onParked: () => void = () => {}
  #waiting: CallWaiter | undefined
  #round = 0
  #asked = 0
  #isParked = false
  readonly #open = new Map<string, OpenQuestion>()
  readonly #controller = new AbortController()
  #outcome: { result: Members } | { error: unknown } | undefined
  #wake: () => void = () => {}
  #timer: NodeJS.Timeout | undefined

  constructor (options: AskingCallOptions) {
    this.options = options
  }

  /** Fires when nobody wants the result any more. */
  get signal (): AbortSignal { return this.#controller.signal }
  /** Whether answers of this round are waited for, and nobody brought them yet. */
  awaits (round: number): boolean { return this.#waiting === undefined && this.#round === round && this.#isParked }

  readonly progress: CallWaiter['progress'] = (...said) => this.#waiting?.progress(...said)
  readonly message: CallWaiter['message'] = (...said) => this.#waiting?.message(...said)

  /** @returns the result, or what it asks first */
  async run (work: Promise<Members>, waiting: CallWaiter): Promise<Members | InputNeeded> {
    work.then(result => this.#settle({ result }), error => this.#settle({ error }))
    return await this.#next(waiting)
  }

  /** @param answers by the names of the questions; a question without one is asked again */
  async goOn (answers: Readonly<Record<string, unknown>>, waiting: CallWaiter): Promise<Members | InputNeeded> {
    clearTimeout(this.#timer)
    for (const [key, { resolve }] of [...this.#open]) {
      if (!Object.hasOwn(answers, key)) continue
      this.#open.delete(key)
      resolve(answers[key] as Members)
    }
    return await this.#next(waiting)
  }

  /**
   * A question of the upstream.
   *
   * @param withdrawn fires when the upstream wants no answer any more
   * @throws {UpstreamFault} where it is put to nobody
   */
  readonly question: OnQuestion = async (method, params, withdrawn) => {
    const { upstream, capabilities, log } = this.options
    const question = questionOf(method, params, upstream)
    if ('refused' in question) {
      log.warn({ upstream, method, why: question.refused }, 'a question of an upstream is put to nobody')
      throw new UpstreamFault(-32602, `Not asked: it ${question.refused}`)
    }
    if (!mayAnswer(question, capabilities)) {
      if (method === 'roots/list') return { roots: [] }
      throw notAsked(method)
    }
    if (this.#open.size >= MAX_OPEN || ++this.#asked > MAX_ASKED) {
      throw new UpstreamFault(-32603, 'Not asked: this call asks too much')
    }
    if (!this.#isParked) this.#park()
    return await new Promise((resolve, reject) => {
      const key = `q${this.#asked}`
      this.#open.set(key, { question, resolve })
      withdrawn.addEventListener('abort', () => {
        this.#open.delete(key)
        reject(new UpstreamFault(-32603, 'withdrawn'))
      }, { once: true })
      this.#wake()
    })
  }

  /** Nobody will take the result: the upstream is told that the call was cancelled. */
  abandon (): void {
    clearTimeout(this.#timer)
    this.#controller.abort()
    this.options.onOver(this)
  }

  #park (): void {
    try {
      this.options.onPark(this)
    } catch (error) {
      this.#settle({ error })
      this.#controller.abort()
      throw error
    }
    this.#isParked = true
    this.onParked()
  }

  #settle (outcome: { result: Members } | { error: unknown }): void {
    this.#outcome ??= outcome
    this.#wake()
  }

  async #next (waiting: CallWaiter): Promise<Members | InputNeeded> {
    this.#waiting = waiting
    const onAbort = () => this.abandon()
    if (waiting.signal.aborted) onAbort()
    else waiting.signal.addEventListener('abort', onAbort, { once: true })
    try {
      for (;;) {
        if (this.#outcome !== undefined) return this.#taken(this.#outcome)
        if (this.#open.size === 0) await new Promise<void>(resolve => { this.#wake = resolve })
        else {
          await nextTurn() // questions that come together are asked together
          if (this.#outcome === undefined && this.#open.size > 0) return this.#needed()
        }
      }
    } finally {
      waiting.signal.removeEventListener('abort', onAbort)
      this.#waiting = undefined
    }
  }

  #needed (): InputNeeded {
    const { id, principal: { expiresAt = Infinity }, waitMs } = this.options
    const questions = Object.fromEntries([...this.#open].map(([key, { question }]) => [key, question]))
    const round = ++this.#round
    this.#timer = setTimeout(() => this.abandon(), Math.max(0, Math.min(waitMs, expiresAt - Date.now()))).unref()
    const state: ParkState = { park: id, round }
    return new InputNeeded(questions, state, () => { if (this.awaits(round)) this.abandon() })
  }

  #taken (outcome: { result: Members } | { error: unknown }): Members {
    this.options.onOver(this)
    if ('error' in outcome) throw outcome.error
    return outcome.result
  }
}
