/** Each list as text, written once for everyone with the same permissions. */
import type { Principal } from '../../core/principal.ts'
import { visible } from '../../tools/catalogue.ts'
import type { Offer } from '../../tools/offer.ts'

/** Text held for all permissions together, bytes: 700 tools are 1 MB for each distinct set. */
const MAX_BYTES = 16 * 1024 * 1024

/** Of what is offered now: another revision begins anew. */
export class ListTexts {
  readonly #offer: Offer
  readonly #maxBytes: number
  /** By method and permissions, the one written first in front. */
  readonly #texts = new Map<string, string>()
  #bytes = 0
  #revision = 0

  constructor (offer: Offer, maxBytes = MAX_BYTES) {
    this.#offer = offer
    this.#maxBytes = maxBytes
  }

  /** Bytes held, at most two for each character. */
  get bytes (): number { return this.#bytes }

  /** The member that a list's result consists of, as JSON; undefined for a method that is no list. */
  textOf (method: string, principal: Principal): string | undefined {
    if (!LISTS.has(method)) return undefined
    if (this.#revision !== this.#offer.revision) this.#begin()
    // Patterns have no space in them.
    const key = principal.role === 'caller' ? `${method} ${principal.permissions.join(' ')}` : method
    return this.#texts.get(key) ?? this.#keep(key, this.#write(method, principal))
  }

  #write (method: string, principal: Principal): string {
    const { tools, prompts, resources, templates } = this.#offer.current
    switch (method) {
      case 'tools/list': return written('tools', visible(tools, 'tool', principal))
      case 'prompts/list': return written('prompts', visible(prompts, 'prompt', principal))
      case 'resources/list': return written('resources', visible(resources, 'resource', principal))
      default: return written('resourceTemplates', visible(templates, 'resource', principal))
    }
  }

  #keep (key: string, text: string): string {
    const bytes = sizeOf(key, text)
    if (bytes > this.#maxBytes) return text
    for (const [oldest, old] of this.#texts) {
      if (this.#bytes + bytes <= this.#maxBytes) break
      this.#texts.delete(oldest)
      this.#bytes -= sizeOf(oldest, old)
    }
    this.#texts.set(key, text)
    this.#bytes += bytes
    return text
  }

  #begin (): void {
    this.#texts.clear()
    this.#bytes = 0
    this.#revision = this.#offer.revision
  }
}

const LISTS: ReadonlySet<string> = new Set(['tools/list', 'prompts/list', 'resources/list', 'resources/templates/list'])

function sizeOf (key: string, text: string): number {
  return 2 * (key.length + text.length)
}

function written (name: string, offered: ReadonlyArray<{ readonly listed: object }>): string {
  return `"${name}":${JSON.stringify(offered.map(({ listed }) => listed))}`
}
