/** An event stream that holds little: whoever reads too slowly is cut, not waited for. */
import { Readable } from 'node:stream'
import type { JSONRPCErrorResponse, JSONRPCMessage } from '@modelcontextprotocol/server'
import type { HttpResponse } from '../http-response.ts'

export interface EventStream {
  /** What the response sends. */
  readonly body: Readable
  /** Whether nothing can be sent any more. */
  readonly ended: boolean
  send (message: JSONRPCMessage): void
  /**
   * Call now and then: sends a comment, so that nobody between takes the
   * silence for the end, and cuts a reader that took nothing since last time
   * although something waits.
   */
  tick (): void
  /** End at once, whatever waits. */
  cut (): void
  /** Say a last thing, if there is one, and end. */
  end (last?: JSONRPCMessage): void
  /** Called once, when the reader has everything or is gone. */
  onClose (listener: () => void): void
}

/** Bytes that may wait for a reader before the next message. One message alone may be larger. */
const MAX_WAITING_BYTES = 65_536
const COMMENT = ': keepalive\n\n'

export const EVENT_STREAM_HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store, no-transform',
  'x-accel-buffering': 'no'
} as const

/** @param onCut told of a reader that was too slow */
export function eventStream (onCut: () => void): EventStream {
  const body = new Readable({ highWaterMark: 16_384, read () {} })
  // A reader that is cut or goes away is no failure.
  body.on('error', () => {})
  let pushed = 0
  let takenAtTick = -1
  let over = false

  const tooSlow = () => {
    onCut()
    body.destroy()
  }
  const write = (text: string) => {
    if (body.destroyed) return
    if (body.readableLength > MAX_WAITING_BYTES) return tooSlow()
    const bytes = Buffer.from(text)
    pushed += bytes.length
    body.push(bytes)
  }
  return {
    body,
    get ended () { return over || body.destroyed },
    send (message) { if (!over) write(eventOf(message)) },
    tick () {
      if (body.destroyed) return
      const taken = pushed - body.readableLength
      if (body.readableLength > 0) {
        if (taken === takenAtTick) return tooSlow()
      } else if (!over) write(COMMENT)
      takenAtTick = taken
    },
    cut () { body.destroy() },
    end (last) {
      if (over) return
      if (last !== undefined) write(eventOf(last))
      over = true
      if (!body.destroyed) body.push(null)
    },
    onClose (listener) {
      if (body.closed) listener()
      else body.once('close', listener)
    }
  }
}

function eventOf (message: JSONRPCMessage): string {
  return event(JSON.stringify(message))
}

/** A message, as JSON text, as it stands in a stream. */
export function event (text: string): string {
  return `event: message\ndata: ${text}\n\n`
}

type WireError = JSONRPCErrorResponse['error']

export interface Watching {
  /** Told of a reader that was too slow. */
  onCut: () => void
  /** Sees an error that is answered, and says how it leaves. */
  onError: (error: WireError) => WireError
}

/** Events of the SDK's, which come whole, with their errors as `onError` words them. */
function withErrors (bytes: Uint8Array, onError: Watching['onError']): Uint8Array | string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()
  if (!text.includes('"error":')) return bytes
  return text.replace(/^data: (\{.*\})$/gm, (line, json: string) => {
    try {
      const message = JSON.parse(json) as { error?: WireError, method?: unknown }
      if (message.error === undefined || message.method !== undefined) return line
      return `data: ${JSON.stringify({ ...message, error: onError(message.error) })}`
    } catch {
      return line
    }
  })
}

/** A stream of the SDK's, which would hold whatever is not read, in the same bounds. */
export function bounded (response: Response, { onCut, onError }: Watching): HttpResponse {
  const source = response.body!.getReader()
  const body = new Readable({ highWaterMark: 16_384, read () {} })
  body.on('error', () => {})
  body.once('close', () => { source.cancel().catch(() => {}) })
  const pass = async () => {
    for (let next = await source.read(); !next.done; next = await source.read()) {
      if (body.destroyed) return
      if (body.readableLength > MAX_WAITING_BYTES) {
        onCut()
        return body.destroy()
      }
      body.push(withErrors(next.value, onError))
    }
    body.push(null)
  }
  pass().catch(() => body.destroy())
  return { status: response.status, headers: { ...Object.fromEntries(response.headers), 'cache-control': 'no-store, no-transform' }, body }
}
