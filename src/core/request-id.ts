/** Longer than any client makes them: ids are kept and told to other replicas while a request runs. */
const MAX_CHARACTERS = 1024

/**
 * Whether a value can be a JSON-RPC id that an answer repeats. Whole numbers
 * beyond 2^53 cannot: they were read as others, and the answer would bear an
 * id that nobody sent.
 */
export function isRequestId (value: unknown): value is string | number {
  return typeof value === 'string' ? value.length <= MAX_CHARACTERS : Number.isSafeInteger(value)
}
