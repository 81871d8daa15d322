/**
 * The stream on which an upstream speaks by itself: of lists and resources that changed, and over Streamable HTTP of
 * what names no call. Revision 2026-07-28 asks for it (`subscriptions/listen`); before, HTTP has a GET, stdio needs
 * none, and resources are subscribed one by one.
 */
import { backoffMs } from '../resilience/backoff.ts'
import type { UpstreamConnection } from './connection.ts'
import { dress, type OnBehalf } from './handshake.ts'
import { membersIn, PeerTrouble } from './messages.ts'

const LISTS = ['tools', 'prompts', 'resources'] as const
const MAX_PAUSE_MS = 60_000
/** Of what stays open, ms: the longest that a timer holds. It is asked for again then. */
const NO_DEADLINE_MS = 2 ** 31 - 1
const SUBSCRIBE_MS = 30_000

export class ServerStream {
  readonly #connection: UpstreamConnection
  readonly #behalf: OnBehalf
  readonly #uris = new Set<string>()
  /** Ends what is listened to now, so that it is asked for anew. */
  #anew = new AbortController()
  #isListening = false

  constructor (connection: UpstreamConnection, behalf: OnBehalf) {
    this.#connection = connection
    this.#behalf = behalf
  }

  /** Listen until the connection is over. A server that has no such stream is not asked again. */
  open (uris: Iterable<string>): void {
    const { agreement: { era }, peer, wire } = this.#connection
    if (era === 'legacy') wire.listen?.({ headers: peer.headers })
    for (const uri of uris) this.watch(uri)
    if (era === 'modern') this.#listenAnew()
  }

  watch (uri: string): void {
    this.#uris.add(uri)
    this.#subscribe('resources/subscribe', uri)
  }

  unwatch (uri: string): void {
    this.#uris.delete(uri)
    this.#subscribe('resources/unsubscribe', uri)
  }

  #subscribe (method: string, uri: string): void {
    const { agreement: { era, capabilities }, peer, isOver } = this.#connection
    if (isOver || membersIn(capabilities, 'resources').subscribe !== true) return
    if (era === 'modern') return this.#listenAnew()
    peer.ask(method, { uri }, { deadlineMs: SUBSCRIBE_MS }).catch(() => {}) // it is read as before, and not heard of
  }

  #listenAnew (): void {
    this.#anew.abort()
    if (!this.#isListening) {
      this.#isListening = true
      this.#listen().catch(() => {}).finally(() => { this.#isListening = false })
    }
  }

  async #listen (): Promise<void> {
    const { peer, agreement } = this.#connection
    for (let failures = 0; !this.#connection.isOver;) {
      await Promise.resolve() // of many that are watched at once, one request
      const anew = this.#anew = new AbortController()
      const notifications = this.#wanted()
      if (Object.keys(notifications).length === 0) return
      const { params, headers } = dress(agreement, 'subscriptions/listen', { notifications }, this.#behalf)
      const began = performance.now()
      try {
        await peer.ask('subscriptions/listen', params, { headers, deadlineMs: NO_DEADLINE_MS, signal: anew.signal })
      } catch (error) {
        if (!anew.signal.aborted && isRefusal(error)) return
      }
      if (anew.signal.aborted) continue
      failures = performance.now() - began > MAX_PAUSE_MS ? 0 : failures + 1
      const pause = backoffMs(Math.max(1, failures), MAX_PAUSE_MS)
      await new Promise<void>(resolve => { setTimeout(resolve, pause).unref() })
    }
  }

  #wanted (): Record<string, unknown> {
    const { capabilities } = this.#connection.agreement
    const lists = LISTS.filter(list => membersIn(capabilities, list).listChanged === true)
    const notifications: Record<string, unknown> = Object.fromEntries(lists.map(list => [`${list}ListChanged`, true]))
    const hears = membersIn(capabilities, 'resources').subscribe === true && this.#uris.size > 0
    return hears ? { ...notifications, resourceSubscriptions: [...this.#uris] } : notifications
  }
}

/** It has no such stream. */
function isRefusal (error: unknown): boolean {
  if (!(error instanceof PeerTrouble)) return true
  return error.kind === 'not_mcp' || error.kind === 'silent' || (error.status !== undefined && error.status < 500)
}
