/** Repeated requests of an operator: done once, answered alike (draft-ietf-httpapi-idempotency-key-header-07). */
import { hash } from 'node:crypto'
import type { Sealer } from '../core/seal.ts'
import { AppError } from '../errors.ts'
import type { Store } from '../state/store.ts'

/** An answer that can be given again. */
export interface RepeatableAnswer {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>> | null
  readonly version?: string | undefined
  /** A member of the body that lies in state sealed, and for a while only. */
  readonly secret?: string | undefined
}

export interface Once {
  /** Whose key it is: another's never meets it. */
  readonly operator: string
  /** As `Idempotency-Key` has it. */
  readonly key: string
  /** Of what is asked: another request under the same key is refused. */
  readonly fingerprint: string
}

/** How long an answer is kept, its secret, and the note that the work is under way, ms. */
const KEPT_MS = 86_400_000
const SECRET_MS = 600_000
const UNDER_WAY_MS = 60_000

interface KeptAnswer extends RepeatableAnswer {
  readonly fingerprint: string
}

export class Idempotency {
  readonly #store: Pick<Store, 'cacheGet' | 'cacheSet' | 'claim'>
  readonly #sealer: Sealer

  constructor (store: Pick<Store, 'cacheGet' | 'cacheSet' | 'claim'>, sealer: Sealer) {
    this.#store = store
    this.#sealer = sealer
  }

  /**
   * Do the work, or give the answer that it had.
   *
   * @throws {AppError} INVALID_REQUEST with 409 while it is under way, with 422 for another request under this key
   */
  async once (
    { operator, key, fingerprint }: Once, work: () => Promise<RepeatableAnswer>
  ): Promise<RepeatableAnswer & { replayed: boolean }> {
    const name = `idem:${operator}:${hash('sha256', key, 'hex')}`
    const known = await this.#replay(name, fingerprint)
    if (known !== undefined) return known
    if (!await this.#store.claim(`${name}:run`, UNDER_WAY_MS)) {
      // It may have ended between the two looks.
      const ended = await this.#replay(name, fingerprint)
      if (ended !== undefined) return ended
      throw new AppError(
        'INVALID_REQUEST', 'The request with this Idempotency-Key is still under way: try again', { http: 409 }
      )
    }
    try {
      const answer = await work()
      await this.#keep(name, fingerprint, answer)
      return { ...answer, replayed: false }
    } catch (error) {
      // Nothing was done, so it may be tried again.
      await this.#store.cacheSet(`${name}:run`, '', 1).catch(() => {})
      throw error
    }
  }

  async #keep (name: string, fingerprint: string, { status, body, version, secret }: RepeatableAnswer): Promise<void> {
    const { [secret ?? '']: hidden, ...rest } = body ?? {}
    const kept: KeptAnswer = { fingerprint, status, body: body === null ? null : rest, version, secret }
    if (secret !== undefined) {
      const sealed = this.#sealer.seal(hidden, [name], Date.now() + SECRET_MS)
      await this.#store.cacheSet(`${name}:secret`, sealed, SECRET_MS)
    }
    await this.#store.cacheSet(name, JSON.stringify(kept), KEPT_MS)
  }

  async #replay (name: string, fingerprint: string): Promise<RepeatableAnswer & { replayed: true } | undefined> {
    const text = await this.#store.cacheGet(name)
    if (text === undefined) return undefined
    const { fingerprint: first, status, body, version, secret } = JSON.parse(text) as KeptAnswer
    if (first !== fingerprint) {
      throw new AppError(
        'INVALID_REQUEST', 'This Idempotency-Key was used for another request: take a new one', { http: 422 }
      )
    }
    if (secret === undefined || body === null) return { status, body, version, replayed: true }
    const sealed = await this.#store.cacheGet(`${name}:secret`)
    const opened = sealed === undefined ? undefined : this.#sealer.open(sealed, [name], Date.now())
    const shown = opened === undefined ? { [`${secret}Shown`]: true } : { [secret]: opened.value }
    return { status, body: { ...body, ...shown }, version, replayed: true }
  }
}
