/** The limits of callers by how they present themselves. */
import type { RateLimit } from '../core/limit.ts'
import type { AuthType } from '../core/principal.ts'
import type { Config } from './schema.ts'

export function classRules (config: Config): Readonly<Record<AuthType, RateLimit>> {
  const windowMs = config.RATE_LIMIT_WINDOW_MS
  return {
    none: { limit: config.RATE_LIMIT_DEFAULT, windowMs },
    api_key: { limit: config.RATE_LIMIT_API_KEY, windowMs },
    oauth2: { limit: config.RATE_LIMIT_OAUTH2, windowMs },
    custom: { limit: config.RATE_LIMIT_API_KEY, windowMs }
  }
}
