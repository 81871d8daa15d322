/** URLs that an authorization server or a setting names, as they are: never taken apart and resolved again. */
import { isLoopback } from './origin.ts'

const MAX_LENGTH = 2048

/**
 * An endpoint that may be used: an absolute https URL, or http where the
 * issuer itself is on loopback, so that no metadata can point at what listens
 * beside this service. Its origin is fixed here. Whoever joins a path like
 * `//api/auth` to an origin again ends at the host `api`.
 *
 * @returns undefined if it must not be used
 */
export function endpointUrl (value: unknown, issuer: string): string | undefined {
  if (typeof value !== 'string' || value.length > MAX_LENGTH || !URL.canParse(value) || !URL.canParse(issuer)) {
    return undefined
  }
  const url = new URL(value)
  if (url.username !== '' || url.password !== '' || url.hash !== '') return undefined
  if (url.protocol === 'https:') return url.href
  const local = url.protocol === 'http:' && isLoopback(url.hostname) && isLoopback(new URL(issuer).hostname)
  return local ? url.href : undefined
}
