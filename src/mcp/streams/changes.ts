/** What changed, on its way from a handler on one replica to subscribers on all of them. */
import { mayUse } from '../../core/permissions.ts'
import type { Principal } from '../../core/principal.ts'
import type { Bus } from '../../state/bus.ts'
import type { Log } from '../../telemetry/log.ts'
import type { Change } from '../../tools/tool.ts'

/** A change as a notification says it. */
export interface Notification {
  readonly method: string
  readonly params?: { readonly uri: string }
}

/** What a stream wants to hear of. */
export interface Subscription {
  readonly lists: ReadonlySet<'tools' | 'prompts' | 'resources'>
  readonly uris: ReadonlySet<string>
}

export interface Events {
  changed (what: Change): void
  /** Hear of changes; `undefined` says that some may have been missed. @returns the way to stop */
  listen (listener: (change: Change | undefined) => void): () => void
}

const TOPIC = 'events'
const LISTS = new Set(['tools', 'prompts', 'resources'])

/**
 * Changes over the bus. They come back to this process as they reach the
 * others, so each replica hears of each change once. While the bus is out of
 * reach this process hears its own; the others are told of the gap.
 */
export function events (bus: Bus, log: Log): Events {
  const listeners = new Set<(change: Change | undefined) => void>()
  const tell = (change: Change | undefined) => { for (const listener of [...listeners]) listener(change) }
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
    listen (listener) {
      listeners.add(listener)
      return () => { listeners.delete(listener) }
    }
  }
}

/** What of a change this principal is told now; everything it wishes for where changes may have been missed. */
export function noticesOf (change: Change | undefined, { lists, uris }: Subscription, principal: Principal): Notification[] {
  if (change === undefined) {
    return [...[...lists].map(listNotice), ...[...uris].filter(uri => mayUse(principal, 'resource', uri)).map(resourceNotice)]
  }
  if (typeof change === 'string') return lists.has(change) ? [listNotice(change)] : []
  // Asked again for each event: what was permitted at the start is not what counts.
  return uris.has(change.resource) && mayUse(principal, 'resource', change.resource) ? [resourceNotice(change.resource)] : []
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
