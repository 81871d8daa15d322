import type { Readable } from 'node:stream'

/** An answer of ours, beside the web Responses of the SDK. */
export interface Served {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Readable | undefined
}
