/** What changed, on its way from a handler on one replica to subscribers on all of them. */
import { mayUse } from '../../core/permissions.ts'
import type { Principal } from '../../core/principal.ts'
import type { Bus } from '../../state/bus.ts'
import type { Log } from '../../telemetry/log.ts'
import { visible, type Catalogue } from '../../tools/catalogue.ts'
import type { ListName } from '../../tools/offer.ts'
import type { Change } from '../../tools/tool.ts'

/** A change as a notification says it. */
export interface Notification {
  readonly method: string
  readonly params?: { readonly uri: string }
}

/** What a stream wants to hear of. */
export interface Subscription {
  readonly lists: ReadonlySet<ListName>
  readonly uris: ReadonlySet<string>
}

/** Another catalogue is offered. Each replica hears of that by itself. */
export class OfferChange {
  readonly lists: ReadonlySet<ListName>
  readonly #before: Catalogue
  readonly #after: Catalogue
  /** Whether a list differs, by its name and permissions: many streams have the same. */
  readonly #known = new Map<string, boolean>()

  constructor (lists: ReadonlySet<ListName>, before: Catalogue, after: Catalogue) {
    this.lists = lists
    this.#before = before
    this.#after = after
  }

  /** Whether what is visible of a list differs for this principal. */
  concerns (list: ListName, principal: Principal): boolean {
    if (!this.lists.has(list)) return false
    const key = JSON.stringify([list, principal.role, principal.permissions])
    let differs = this.#known.get(key)
    if (differs === undefined) {
      differs = seen(this.#before, list, principal) !== seen(this.#after, list, principal)
      this.#known.set(key, differs)
    }
    return differs
  }
}

function seen ({ tools, prompts, resources, templates }: Catalogue, list: ListName, principal: Principal): string {
  switch (list) {
    case 'tools':
      return JSON.stringify(visible(tools, 'tool', principal).map(({ listed }) => listed))
    case 'prompts':
      return JSON.stringify(visible(prompts, 'prompt', principal).map(({ listed }) => listed))
    case 'resources':
      return JSON.stringify(
        [...visible(resources, 'resource', principal), ...visible(templates, 'resource', principal)].map(
          ({ listed }) => listed
        )
      )
  }
}

/** `undefined` says that some changes may have been missed. */
export type Heard = Change | OfferChange | undefined

export interface Events {
  changed (what: Change): void
  /** Another catalogue is offered in this process. */
  offered (change: OfferChange): void
  /** Something changed elsewhere, of which each replica hears by itself. */
  here (change: Change): void
  /** Hear of changes. @returns the way to stop */
  listen (listener: (change: Heard) => void): () => void
}

const TOPIC = 'events'
const LISTS = new Set(['tools', 'prompts', 'resources'])

/**
 * Changes over the bus. They come back to this process as they reach the
 * others, so each replica hears of each change once. While the bus is out of
 * reach this process hears its own; the others are told of the gap.
 */
export function events (bus: Bus, log: Log): Events {
  const listeners = new Set<(change: Heard) => void>()
  const tell = (change: Heard) => { for (const listener of [...listeners]) listener(change) }
  bus.listen(TOPIC, text => {
    const change = changeOf(text)
    if (change !== undefined) tell(change)
  })
  bus.onGap(() => tell(undefined))
  return {
    changed (what) {
      bus.publish(TOPIC, JSON.stringify(what)).catch(error => {
        log.warn({ err: error as Error }, 'a change was told in this process only')
        tell(what)
      })
    },
    offered: tell,
    here: tell,
    listen (listener) {
      listeners.add(listener)
      return () => { listeners.delete(listener) }
    }
  }
}

/** What of a change this principal is told now; everything it wishes for where changes may have been missed. */
export function noticesOf (change: Heard, { lists, uris }: Subscription, principal: Principal): Notification[] {
  if (change === undefined) {
    return [
      ...[...lists].map(listNotice),
      ...[...uris].filter(uri => mayUse(principal, 'resource', uri)).map(resourceNotice)
    ]
  }
  if (change instanceof OfferChange) return [...lists].filter(list => change.concerns(list, principal)).map(listNotice)
  if (typeof change === 'string') return lists.has(change) ? [listNotice(change)] : []
  // Asked again for each event: what was permitted at the start is not what counts.
  return uris.has(change.resource) && mayUse(principal, 'resource', change.resource)
    ? [resourceNotice(change.resource)]
    : []
}

const listNotice = (list: string): Notification => ({ method: `notifications/${list}/list_changed` })
const resourceNotice = (uri: string): Notification => ({ method: 'notifications/resources/updated', params: { uri } })

/** The bus is ours, but a replica of another version may be at its other end. */
function changeOf (text: string): Change | undefined {
  const value = JSON.parse(text) as unknown
  if (typeof value === 'string') return LISTS.has(value) ? value as Change : undefined
  const uri = (value as { resource?: unknown } | null)?.resource
  return typeof uri === 'string' ? { resource: uri } : undefined
}
