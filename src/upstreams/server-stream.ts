/**
 * The stream on which an upstream speaks by itself: of lists that changed, and over Streamable HTTP of what names no
 * call. Revision 2026-07-28 asks for it (`subscriptions/listen`); before, HTTP has a GET, and stdio needs none.
 */
import { backoffMs } from '../resilience/backoff.ts'
import type { UpstreamConnection } from './connection.ts'
import { dress, type OnBehalf } from './handshake.ts'
import { membersIn, PeerTrouble } from './messages.ts'

const LISTS = ['tools', 'prompts', 'resources'] as const
const MAX_PAUSE_MS = 60_000
/** Of what stays open, ms: the longest that a timer holds. It is asked for again then. */
const NO_DEADLINE_MS = 2 ** 31 - 1

/** Listen until the connection is over. A server that has no such stream is not asked again. */
export function openServerStream (connection: UpstreamConnection, behalf: OnBehalf): void {
  const { agreement: { era }, peer, wire } = connection
  if (era === 'legacy') wire.listen?.({ headers: peer.headers })
  else listen(connection, behalf).catch(() => {}) // it ends with the connection
}

async function listen (connection: UpstreamConnection, behalf: OnBehalf): Promise<void> {
  const { agreement, peer } = connection
  const wanted = LISTS.filter(list => membersIn(agreement.capabilities, list).listChanged === true)
  if (wanted.length === 0) return
  const notifications = Object.fromEntries(wanted.map(list => [`${list}ListChanged`, true]))
  const { params, headers } = dress(agreement, 'subscriptions/listen', { notifications }, behalf)
  for (let failures = 0; !connection.isOver;) {
    const began = performance.now()
    try {
      await peer.ask('subscriptions/listen', params, { headers, deadlineMs: NO_DEADLINE_MS })
    } catch (error) {
      if (!(error instanceof PeerTrouble) || error.kind === 'not_mcp' || error.kind === 'silent') return
      if (error.status !== undefined && error.status < 500) return
    }
    failures = performance.now() - began > MAX_PAUSE_MS ? 0 : failures + 1
    const pause = backoffMs(failures, MAX_PAUSE_MS)
    await new Promise<void>(resolve => { setTimeout(resolve, pause).unref() })
  }
}
