import type { Readable } from 'node:stream'

/** An answer of ours, beside the web Responses of the SDK. */
export interface HttpResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Readable | undefined
}

const JSON_HEADERS = { 'content-type': 'application/json; charset=utf-8' } as const

/** JSON text as an answer. */
export function json (body: string): HttpResponse {
  return { status: 200, headers: JSON_HEADERS, body }
}
