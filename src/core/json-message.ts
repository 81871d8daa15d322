/** The text of one message, over HTTP or stdio, as a value: looked over, parsed, and with the numbers marked that were read as others. */
import { AppError } from '../errors.ts'
import { markInexactNumbers } from './exact-numbers.ts'
import { scanJson } from './json-scan.ts'

/**
 * @param what stands for the text in a refusal, such as "The body"
 * @throws {AppError} INVALID_REQUEST for what two parsers could read differently or what is made to exhaust one, PARSE_ERROR
 */
export function parseMessage (text: string, what: string): unknown {
  const fault = scanJson(text)
  if (fault !== undefined) throw new AppError('INVALID_REQUEST', fault.message, { cause: fault.reason })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new AppError('PARSE_ERROR', `${what} is not JSON`)
  }
  markInexactNumbers(value, text)
  return value
}
