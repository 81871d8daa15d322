/** The one way this service asks an authorization server anything. */
import { Unreachable } from '../../resilience/unreachable.ts'
export interface Bounds {
  /** For everything: connecting, waiting, reading. */
  readonly timeoutMs: number
  readonly maxBytes: number
}

/** Metadata and key sets: far more than any that exists. */
export const BOUNDS: Bounds = { timeoutMs: 1000, maxBytes: 262_144 }

export interface BoundedRequest {
  readonly method?: 'GET' | 'POST'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** An answer that is a JSON object, whatever its status. */
export interface BoundedResponse {
  readonly status: number
  readonly json: Readonly<Record<string, unknown>>
}

/**
 * Ask, and read a JSON object of bounded size in bounded time. A redirect is
 * an error: it could lead anywhere, with what was sent.
 *
 * @param url absolute, checked with `endpointUrl` before
 * @throws {Unreachable}
 */
export async function askJson (
  url: string,
  { method = 'GET', headers = {}, body }: BoundedRequest = {},
  bounds: Bounds = BOUNDS
): Promise<BoundedResponse> {
  const where = new URL(url)
  try {
    const response = await fetch(where, {
      method,
      headers: { accept: 'application/json', ...headers },
      redirect: 'error',
      signal: AbortSignal.timeout(bounds.timeoutMs),
      ...(body === undefined ? {} : { body })
    })
    const text = await read(response, bounds.maxBytes)
    const json: unknown = JSON.parse(text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text)
    if (typeof json !== 'object' || json === null || Array.isArray(json)) {
      throw new Error('the answer is not a JSON object')
    }
    return { status: response.status, json: json as Record<string, unknown> }
  } catch (thrown) {
    const error = thrown as Error
    throw new Unreachable(`${method} ${where.origin}${where.pathname}: ${reason(error)}`, {
      final: nobodyListens(error)
    })
  }
}

async function read (response: Response, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  // Leaving the loop cancels the body: nothing more is read.
  for await (const chunk of response.body ?? []) {
    size += chunk.length
    if (size > maxBytes) throw new Error(`more than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

const BYTE_ORDER_MARK = '\ufeff'
const NOBODY = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'])

/** No connection was made at all: the host is unknown, down, or not who its certificate says. */
function nobodyListens ({ cause }: { cause?: unknown }): boolean {
  const { code } = (cause ?? {}) as { code?: unknown }
  return typeof code === 'string' && (NOBODY.has(code) || /CERT|^ERR_TLS|SELF_SIGNED|UNABLE_TO/.test(code))
}

/** What an error answer says about itself (RFC 6749 §5.2), for the log. */
export function errorOf ({ error, error_description: description }: BoundedResponse['json']): string {
  return [error, description]
    .filter(text => typeof text === 'string')
    .map(text => `, ${JSON.stringify(text).slice(0, 200)}`)
    .join('')
}

/** Never the body of an answer: it may repeat what was sent. */
function reason (error: unknown): string {
  if (error instanceof SyntaxError) return 'the answer is not JSON'
  const { name, message, cause } = error as Error
  if (name === 'TimeoutError') return 'no answer in time'
  return cause instanceof Error ? `${message} (${(cause as { code?: string }).code ?? cause.message})` : message
}
