/**
 * The text of one message, over HTTP or stdio, as a value: looked over, parsed, and with the numbers marked
 * that were read as others.
 */
import { AppError } from '../errors.ts'
import { markInexactNumbers } from './exact-numbers.ts'
import { scanJson } from './json-scan.ts'

const BYTE_ORDER_MARK = 0xfeff

/**
 * @param sent text, with a byte order mark or without
 * @param what stands for the text in a refusal, such as "The body"
 * @throws {AppError} INVALID_REQUEST for what two parsers could read differently or what is made to exhaust
 *   one, PARSE_ERROR
 */
export function parseMessage (sent: string, what: string): unknown {
  // RFC 8259 §8.1: a byte order mark may be ignored. Some clients on Windows send one.
  const text = sent.charCodeAt(0) === BYTE_ORDER_MARK ? sent.slice(1) : sent
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
