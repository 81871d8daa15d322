/** What is offered now. It may be replaced while calls run: whoever serves a message takes `current` once. */
import type { Catalogue } from './catalogue.ts'

export type ListName = 'tools' | 'prompts' | 'resources'

/** Told which lists differ, and what was offered before. */
export type OfferListener = (lists: ReadonlySet<ListName>, before: Catalogue) => void

export interface Offer {
  readonly current: Catalogue
  /** Grows by one with each catalogue that differs. */
  readonly revision: number
  onChange (listener: OfferListener): () => void
}

/** An offer and the way to change it. */
export class CurrentOffer implements Offer {
  #current: Catalogue
  #revision = 1
  readonly #listeners = new Set<OfferListener>()

  constructor (first: Catalogue) {
    this.#current = first
  }

  get current (): Catalogue { return this.#current }
  get revision (): number { return this.#revision }

  /** Calls that run go on with what they began with. Nothing is told where every list stays as it was. */
  replace (next: Catalogue): void {
    const before = this.#current
    const lists = differing(before, next)
    this.#current = next
    if (lists.size === 0) return
    this.#revision++
    for (const listener of [...this.#listeners]) listener(lists, before)
  }

  onChange (listener: OfferListener): () => void {
    this.#listeners.add(listener)
    return () => { this.#listeners.delete(listener) }
  }
}

type Listed = ReadonlyMap<string, { readonly listed: object }>

function differing (before: Catalogue, after: Catalogue): Set<ListName> {
  const lists = new Set<ListName>()
  if (!sameListed(before.tools, after.tools)) lists.add('tools')
  if (!sameListed(before.prompts, after.prompts)) lists.add('prompts')
  if (!sameListed(before.resources, after.resources) || !sameListed(before.templates, after.templates)) {
    lists.add('resources')
  }
  return lists
}

function sameListed (before: Listed, after: Listed): boolean {
  if (before === after) return true
  if (before.size !== after.size) return false
  for (const [name, { listed }] of after) {
    const was = before.get(name)?.listed
    if (was === undefined || (was !== listed && JSON.stringify(was) !== JSON.stringify(listed))) return false
  }
  return true
}
