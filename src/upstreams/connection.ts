/** One connection to an upstream: its wire, its peer, and the revision that was agreed on. */
import type { Log } from '../telemetry/log.ts'
import type { UpstreamEntry } from './entry.ts'
import { shakeHands, type Agreement } from './handshake.ts'
import { UpstreamFault, type Members } from './messages.ts'
import { Peer, type PeerEvents } from './peer.ts'
import type { Wire } from './wire.ts'

/**
 * Makes the wire of an entry; bytes may flow as soon as the peer has set its handlers. @throws {UsageError} for a
 * value that is missing
 */
export type OpenWire = (entry: UpstreamEntry) => Wire | Promise<Wire>

export interface ConnectionOptions {
  readonly entry: UpstreamEntry
  readonly open: OpenWire
  readonly log: Log
  readonly clientInfo: Members
  /** What is declared towards a server of the older revisions. */
  readonly declared: Members
  readonly onNotification: PeerEvents['onNotification']
  readonly onQuestion: (method: string, params: Members, connection: UpstreamConnection) => Promise<Members>
  /** It is gone; goes on from "Upstream x". */
  readonly onClose: (why: string, connection: UpstreamConnection) => void
}

export class UpstreamConnection {
  readonly peer: Peer
  readonly wire: Wire
  /** ms of `performance.now()`. */
  readonly openedAt = performance.now()
  /** Calls on their way over it. */
  calls = 0
  #agreement: Agreement | undefined
  #isOver = false
  #onIdle: (() => void) | undefined

  private constructor (wire: Wire, { onNotification, onQuestion, onClose }: ConnectionOptions) {
    this.wire = wire
    this.peer = new Peer(wire, {
      onNotification,
      onQuestion: (method, params) => onQuestion(method, params, this),
      onClose: why => {
        this.#isOver = true
        onClose(why, this)
      }
    })
  }

  /**
   * Open the wire and shake hands.
   *
   * @throws {PeerTrouble} where it does not come about; what was opened is closed
   * @throws {UsageError} for a value that is missing
   */
  static async open (options: ConnectionOptions): Promise<UpstreamConnection> {
    const { entry, declared, clientInfo } = options
    const connection = new UpstreamConnection(await options.open(entry), options)
    const { protocol, startTimeoutMs: deadlineMs, target } = entry
    try {
      connection.#agreement = await shakeHands(
        { peer: connection.peer, overHttp: target.kind === 'http', protocol, declared, deadlineMs, clientInfo }
      )
      return connection
    } catch (error) {
      connection.#isOver = true
      await connection.peer.close()
      throw error
    }
  }

  /** What was agreed on; a connection is handed out after that. */
  get agreement (): Agreement { return this.#agreement! }
  get isOver (): boolean { return this.#isOver }

  /** A call goes over it. @returns the way to say that it is over */
  begin (): () => void {
    this.calls++
    return () => { if (--this.calls === 0) this.#onIdle?.() }
  }

  /** Take no more calls, and end when the last is over or the time is. */
  async retire (graceMs: number): Promise<void> {
    if (this.calls > 0) {
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>(resolve => {
        this.#onIdle = resolve
        timer = setTimeout(resolve, graceMs)
      })
      clearTimeout(timer)
    }
    await this.close()
  }

  async close (why?: string): Promise<void> {
    this.#isOver = true
    await this.peer.close(why)
  }
}

/** What a question is answered with that nobody here can answer. */
export function notAsked (method: string): UpstreamFault {
  return new UpstreamFault(-32601, `Method not found: ${method}`)
}
