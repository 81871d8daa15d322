/**
 * Whether a header was sent more than once. Node keeps the first `Host` and
 * `Authorization` and drops the others in silence, so the raw list is asked.
 *
 * @param rawHeaders names and values in turn, as `IncomingMessage.rawHeaders`
 * @param name in lower case
 */
export function repeated (rawHeaders: readonly string[], name: string): boolean {
  let seen = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const header = rawHeaders[i]!
    if (header.length === name.length && header.toLowerCase() === name) seen++
  }
  return seen > 1
}
