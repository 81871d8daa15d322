/** An event stream that holds little: whoever reads too slowly is cut, not waited for. */
import { Readable } from 'node:stream'
import type { JSONRPCMessage } from '@modelcontextprotocol/server'
import { event } from '../http-response.ts'

/** Bytes that may wait for a reader before the next message. One message alone may be larger. */
const MAX_WAITING_BYTES = 65_536
const COMMENT = ': keepalive\n\n'

export class EventStream {
  /** What the response sends. */
  readonly body = new Readable({ highWaterMark: 16_384, read () {} })
  readonly #onCut: () => void
  #pushedBytes = 0
  #takenAtTick = -1
  #isOver = false

  /** @param onCut told of a reader that was too slow */
  constructor (onCut: () => void) {
    this.#onCut = onCut
    // A reader that is cut or goes away is no failure.
    this.body.on('error', () => {})
  }

  /** Whether nothing can be sent any more. */
  get ended (): boolean {
    return this.#isOver || this.body.destroyed
  }

  send (message: JSONRPCMessage): void {
    this.sendText(JSON.stringify(message))
  }

  /** @param text a message as JSON */
  sendText (text: string): void {
    if (!this.#isOver) this.#write(event(text))
  }

  /**
   * Call now and then: sends a comment, so that nobody between takes the
   * silence for the end, and cuts a reader that took nothing since last time
   * although something waits.
   */
  tick (): void {
    const { body } = this
    if (body.destroyed) return
    const taken = this.#pushedBytes - body.readableLength
    if (body.readableLength > 0) {
      if (taken === this.#takenAtTick) return this.#cutSlowReader()
    } else if (!this.#isOver) this.#write(COMMENT)
    this.#takenAtTick = taken
  }

  /** End at once, whatever waits. */
  cut (): void {
    this.body.destroy()
  }

  /** Say a last thing, if there is one, and end. */
  end (last?: JSONRPCMessage): void {
    this.endText(last === undefined ? undefined : JSON.stringify(last))
  }

  /** @param last a message as JSON */
  endText (last?: string): void {
    if (this.#isOver) return
    if (last !== undefined) this.#write(event(last))
    this.#isOver = true
    if (!this.body.destroyed) this.body.push(null)
  }

  /** Called once, when the reader has everything or is gone. */
  onClose (listener: () => void): void {
    if (this.body.closed) listener()
    else this.body.once('close', listener)
  }

  #write (text: string): void {
    const { body } = this
    if (body.destroyed) return
    if (body.readableLength > MAX_WAITING_BYTES) return this.#cutSlowReader()
    const bytes = Buffer.from(text)
    this.#pushedBytes += bytes.length
    body.push(bytes)
  }

  #cutSlowReader (): void {
    this.#onCut()
    this.body.destroy()
  }
}
