/**
 * The streams that stay open, of all principals: so many of each, kept alive,
 * and ended when the credential that opened them no longer counts.
 */
import type { Principal } from '../../core/principal.ts'
import { isRevoked } from '../../core/revocation.ts'
import { AppError } from '../../errors.ts'
import type { Ledger } from '../../state/store.ts'

/** What is held open for somebody. */
export interface Open {
  readonly principal: Principal
  /** Called about every ten seconds. */
  tick (): void
  /** The credential ran out or was revoked, or the server stops. */
  end (): void
  /** Over at once, whatever its reader has not read. */
  cut (): void
}

export interface Streams {
  readonly size: number
  /**
   * Hold something open. Call what comes back when it is over.
   *
   * @throws {AppError} TOO_MANY_STREAMS
   */
  open (what: Open): () => void
  /** End everything and take nothing more. */
  close (): void
}

const LOOK_MS = 250
/** How long a reader may take over the end when the server stops. */
const LAST_WORDS_MS = 500
/** Comments within 15 s, as intermediaries are promised. */
const TICK_MS = 10_000

export interface StreamsOptions {
  revocations: Ledger
  /** Of one principal at once, in this process. */
  mostOfPrincipal: number
}

export function streams ({ revocations, mostOfPrincipal }: StreamsOptions): Streams {
  const all = new Set<Open>()
  const counts = new Map<string, number>()
  let closed = false
  let ticked = performance.now()

  const endWhere = (over: (principal: Principal) => boolean) => {
    for (const one of [...all]) if (over(one.principal)) one.end()
  }
  const endRevoked = () => {
    const entries = revocations.entries()
    if (entries.size > 0) endWhere(principal => isRevoked(principal, entries))
  }

  const timer = setInterval(() => {
    const now = Date.now()
    endWhere(({ expiresAt }) => expiresAt !== undefined && expiresAt <= now)
    if (performance.now() - ticked < TICK_MS) return
    ticked = performance.now()
    for (const one of [...all]) one.tick()
  }, LOOK_MS)
  timer.unref()
  const stop = revocations.onChange(({ added }) => { if (added.length > 0) endRevoked() })

  return {
    get size () { return all.size },

    open (what) {
      const { id } = what.principal
      const count = counts.get(id) ?? 0
      if (closed) throw new AppError('DRAINING', 'This replica is about to stop; try again', { headers: { 'retry-after': '1' } })
      if (count >= mostOfPrincipal) {
        throw new AppError('TOO_MANY_STREAMS', `No more than ${mostOfPrincipal} streams may be open at once`, { headers: { 'retry-after': '10' } })
      }
      all.add(what)
      counts.set(id, count + 1)
      // A revocation that came between the credential's check and now.
      if (isRevoked(what.principal, revocations.entries())) queueMicrotask(() => what.end())
      return () => {
        if (!all.delete(what)) return
        const left = counts.get(id)! - 1
        if (left > 0) counts.set(id, left)
        else counts.delete(id)
      }
    },

    close () {
      closed = true
      clearInterval(timer)
      stop()
      endWhere(() => true)
      setTimeout(() => { for (const one of [...all]) one.cut() }, LAST_WORDS_MS)
    }
  }
}
