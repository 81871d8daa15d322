/** Asks the running server, through its management listener, what only it knows. */
import { UsageError } from '../errors.ts'
import type { Config } from '../settings/schema.ts'

/** How long the server may take, ms. */
const ANSWER_MS = 30_000

export interface ServerQuestion {
  readonly method?: 'GET' | 'POST'
  /** `/api/status` */
  readonly path: string
  readonly body?: object | undefined
}

/**
 * @throws {UsageError} without a key to show, or for what the server calls wrong use
 * @throws {Error} where it does not answer, or refuses
 */
export async function askServer<T> (
  { MANAGEMENT_URL: url, MCP_OPERATOR_KEY: key }: Config, { method = 'GET', path, body }: ServerQuestion
): Promise<T> {
  if (key === undefined) {
    throw new UsageError('Only the running server knows this. Set MCP_OPERATOR_KEY (or MCP_OPERATOR_KEY_FILE) ' +
      'to an operator key: keys create <name> --role operator')
  }
  let response: Response
  try {
    response = await fetch(url + path, {
      method,
      headers: {
        authorization: `Bearer ${key}`, ...(body === undefined ? {} : { 'content-type': 'application/json' })
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      redirect: 'error',
      signal: AbortSignal.timeout(ANSWER_MS)
    })
  } catch {
    throw new Error(`The management listener does not answer at ${url}: start the server, or set MANAGEMENT_URL`)
  }
  const answer = await response.json().catch(() => undefined) as (T & { detail?: string, error?: string }) | undefined
  if (response.ok && answer !== undefined) return answer
  if (response.status === 400) throw new UsageError(answer?.detail ?? 'The server calls the question wrong')
  throw new Error(`${url} answered ${response.status}${answer?.detail === undefined ? '' : `: ${answer.detail}`}`)
}
