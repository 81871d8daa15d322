/** Reading the credential of a request. Pure; nothing is verified here. */
import { AppError } from '../errors.ts'

/** What a request presents. The query string is never read: it ends up in logs (RFC 6750 §2.3). */
export type Credential =
  | { readonly type: 'none' }
  | { readonly type: 'bearer', readonly value: string }
  | { readonly type: 'api_key', readonly value: string }
  | { readonly type: 'dpop', readonly value: string, readonly proof: string }

export const NO_CREDENTIAL: Credential = { type: 'none' }

/**
 * Tokens that list the groups of an account have 8 kB and more. All headers together may have twice as much
 * (src/app.ts).
 */
const MAX_LENGTH = 16_384

/** RFC 6750 §2.1 b64token, which also fits our keys and plain `sk-…` values. */
const TOKEN = /^[\x21-\x7e]+$/

type Header = string | string[] | undefined

/**
 * Read the credential from `Authorization: Bearer` or `X-API-Key`
 * (RFC 6750 §2.1; RFC 9449 §7.1 for `DPoP`).
 *
 * @param authorization every value of the header that was sent: node folds a
 *   repeated `Authorization` away, so the caller passes the raw occurrences
 * @throws {AppError} MALFORMED_CREDENTIAL when both are sent, one is sent
 *   twice, or its form is wrong
 */
export function readCredential (authorization: Header, apiKey: Header, dpop?: Header): Credential {
  if (authorization === undefined && apiKey === undefined) return NO_CREDENTIAL
  if (Array.isArray(authorization) || Array.isArray(apiKey) || Array.isArray(dpop) ||
    (authorization !== undefined && apiKey !== undefined)) {
    throw new AppError('MALFORMED_CREDENTIAL', 'Send one credential, once: Authorization or X-API-Key')
  }

  if (apiKey !== undefined) {
    return { type: 'api_key', value: bounded(apiKey) }
  }

  const space = authorization!.indexOf(' ')
  const scheme = authorization!.slice(0, Math.max(space, 0)).toLowerCase()
  const value = authorization!.slice(space + 1).trim()
  if (scheme === 'bearer') return { type: 'bearer', value: bounded(value) }
  if (scheme === 'dpop' && dpop !== undefined) return { type: 'dpop', value: bounded(value), proof: bounded(dpop) }
  throw new AppError('MALFORMED_CREDENTIAL', 'Authorization must be "Bearer <token or key>"')
}

/**
 * Read the credential of a stdio message from `params._meta.auth` or
 * `params.auth`: `{type: 'api_key', api_key}` or `{type: 'oauth2', access_token}`.
 *
 * @throws {AppError} MALFORMED_CREDENTIAL
 */
export function readMessageCredential (params: unknown): Credential {
  if (!isObject(params)) return NO_CREDENTIAL
  const inMeta = isObject(params._meta) ? params._meta.auth : undefined
  if (inMeta !== undefined && params.auth !== undefined) {
    throw new AppError('MALFORMED_CREDENTIAL', 'Send one credential, once: params._meta.auth or params.auth')
  }
  const auth = inMeta ?? params.auth
  if (auth === undefined) return NO_CREDENTIAL
  if (isObject(auth)) {
    if (auth.type === 'api_key' && typeof auth.api_key === 'string') {
      return { type: 'api_key', value: bounded(auth.api_key) }
    }
    if (auth.type === 'oauth2' && typeof auth.access_token === 'string') {
      return { type: 'bearer', value: bounded(auth.access_token) }
    }
  }
  throw new AppError(
    'MALFORMED_CREDENTIAL',
    'auth must be {"type": "api_key", "api_key": …} or {"type": "oauth2", "access_token": …}'
  )
}

function bounded (value: string): string {
  if (value.length > MAX_LENGTH || !TOKEN.test(value)) {
    throw new AppError(
      'MALFORMED_CREDENTIAL',
      'The credential is empty, too long, or has characters that no credential has'
    )
  }
  return value
}

function isObject (value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
