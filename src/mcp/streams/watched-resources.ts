/** Resources of other servers that streams of this process want to hear of: each is watched there once. */
import { mayUse } from '../../core/permissions.ts'
import type { Principal } from '../../core/principal.ts'
import { resourceAt } from '../../tools/catalogue.ts'
import type { Offer } from '../../tools/offer.ts'

interface WatchedResource {
  readonly stop: () => void
  streams: number
}

export class WatchedResources {
  readonly #offer: Offer
  readonly #tell: (uri: string) => void
  readonly #held = new Map<string, WatchedResource>()

  /** @param tell told of each change, for the streams of this process: every replica watches by itself */
  constructor (offer: Offer, tell: (uri: string) => void) {
    this.#offer = offer
    this.#tell = tell
  }

  /** Watch for a stream. @returns the way to stop */
  hold (uris: Iterable<string>, principal: Principal): () => void {
    const held = [...uris].filter(uri => mayUse(principal, 'resource', uri) && this.#begin(uri, principal))
    return () => { for (const uri of held.splice(0)) this.#release(uri) }
  }

  #begin (uri: string, principal: Principal): boolean {
    const found = this.#held.get(uri)
    if (found !== undefined) {
      found.streams++
      return true
    }
    const watch = resourceAt(this.#offer.current, principal, uri)?.offered.watch
    if (watch === undefined) return false
    this.#held.set(uri, { stop: watch(uri, () => this.#tell(uri)), streams: 1 })
    return true
  }

  #release (uri: string): void {
    const found = this.#held.get(uri)
    if (found === undefined || --found.streams > 0) return
    this.#held.delete(uri)
    found.stop()
  }
}
