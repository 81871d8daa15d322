import { hashKey, judgeKey, ruleOf, wellFormed, type ApiKeyRecord } from '../core/api-key.ts'
import { hasJwtHeader } from '../core/jwt-form.ts'
import type { RateLimit } from '../core/limit.ts'
import type { Principal } from '../core/principal.ts'
import { RecentSet } from '../core/recent-set.ts'
import { AppError } from '../errors.ts'
import type { Store } from '../state/store.ts'
import type { Authenticator } from './authenticator.ts'

export interface ApiKeyOptions {
  store: Store
  /** The class's limit; a key's own wins. */
  rule: RateLimit
}

/** Plain keys that are remembered to have been accepted. */
const MAX_ACCEPTED = 10_000

/**
 * API keys, in `X-API-Key` or as a bearer. One look-up gives the record and
 * counts the request. Unknown, revoked, expired and used from a wrong address
 * are one refusal; only the log tells them apart.
 */
export function apiKeyAuthenticator ({ store, rule }: ApiKeyOptions): Authenticator {
  /** Hashes of plain keys that were accepted by this process: who knows one has not guessed it just now. */
  const accepted = new RecentSet(MAX_ACCEPTED)
  return {
    type: 'api_key',
    async authenticate (credential, { address, standing }) {
      if (credential.type !== 'api_key' && credential.type !== 'bearer') return undefined
      const certain = credential.type === 'api_key' || credential.value.startsWith('mcpk_')
      // Some other authenticator's. A key may have dots, too.
      if (!certain && hasJwtHeader(credential.value)) return undefined
      if (!wellFormed(credential.value)) throw refused('malformed')

      const hash = hashKey(credential.value)
      const isMade = credential.value.startsWith('mcpk_')
      if (standing === 'over' && !isMade && !accepted.has(hash)) {
        if (certain) throw refused('not looked up')
        return undefined
      }
      const { record, rateLimit: verdict } = await store.admit(hash, rule)
      if (record === undefined) {
        if (certain) throw refused('unknown')
        return undefined
      }

      const now = store.now()
      const refusal = keyRefusal(record, { hash, address, now })
      if (refusal !== undefined) throw refusal
      store.touchKey(record, now)
      if (!isMade) accepted.add(hash)

      const subject = `key:${record.hash}`
      const own = ruleOf(record, rule)
      return {
        principal: keyPrincipal(record, now),
        subject,
        rule: own,
        rateLimit: verdict ?? await store.hit(subject, own)
      }
    },

    async recheck (credential, { address }, before) {
      if (credential.type !== 'api_key' && credential.type !== 'bearer') return undefined
      const hash = hashKey(credential.value)
      const record = await store.findKey(before.id.slice('key:'.length))
      const now = Date.now()
      const isValid = record !== undefined && judgeKey(record, hash, address, now) === 'valid'
      return isValid ? keyPrincipal(record, now) : undefined
    }
  }
}

export interface KeyUse {
  /** SHA-256 of what was presented, hex. */
  readonly hash: string
  /** Normal form. */
  readonly address: string
  /** ms since the epoch. */
  readonly now: number
}

/** Why a key that was found may not be used now, or undefined. */
export function keyRefusal (record: ApiKeyRecord, { hash, address, now }: KeyUse): AppError | undefined {
  const judged = judgeKey(record, hash, address, now)
  return judged === 'valid' ? undefined : refused(judged, record)
}

/** Who a key stands for. */
export function keyPrincipal (record: ApiKeyRecord, now: number): Principal {
  return {
    id: `key:${record.id}`,
    name: record.name,
    authType: 'api_key',
    role: record.role,
    permissions: record.permissions,
    ...(record.owner === undefined ? {} : { claims: { owner: record.owner } }),
    authenticatedAt: now,
    expiresAt: record.expires,
    ...(record.cidrs === undefined ? {} : { cidrs: record.cidrs }),
    revocableAs: [`key:${record.id}`]
  }
}

/** @param record of the key, where there is one: its id is public, and says in the log which key it was */
function refused (why: string, record?: ApiKeyRecord): AppError {
  return new AppError('INVALID_CREDENTIAL', 'Authentication required', {
    cause: `api key ${why}`, rule: `api key ${why}`, principal: record === undefined ? undefined : `key:${record.id}`
  })
}
