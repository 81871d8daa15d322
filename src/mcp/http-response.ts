import type { Readable } from 'node:stream'
import type { Accepted } from '../core/accept.ts'

/** An answer over HTTP. */
export interface HttpResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Readable | undefined
}

const JSON_HEADERS = { 'content-type': 'application/json; charset=utf-8' } as const

export const EVENT_STREAM_HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store, no-transform',
  'x-accel-buffering': 'no'
} as const

/** A notification was taken. */
export const ACCEPTED: HttpResponse = { status: 202, headers: {}, body: undefined }

/** JSON text as an answer. */
export function json (body: string, status = 200): HttpResponse {
  return { status, headers: JSON_HEADERS, body }
}

/** An answer that comes alone, as JSON text, in the form that its client takes. */
export function whole (body: string, accepts: Accepted, status = 200): HttpResponse {
  return accepts.json ? json(body, status) : { status: 200, headers: EVENT_STREAM_HEADERS, body: event(body) }
}

/** A message, as JSON text, as it stands in an event stream. */
export function event (text: string): string {
  return `event: message\ndata: ${text}\n\n`
}
