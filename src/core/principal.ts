export type AuthType = 'none' | 'api_key' | 'oauth2' | 'custom'

/** A caller key calls tools; an operator key manages and can call no tool. */
export type Role = 'caller' | 'operator'

/** By name; values are whatever JSON holds. */
export type Claims = Readonly<Record<string, unknown>>

/** Who a credential stands for, as every later decision sees it. The credential itself is not kept. */
export interface Principal {
  /** Unique among all principals: the type, a colon, and an id. Names the counters in shared state. */
  readonly id: string
  /** OAuth2: the subject whatever client it uses, in the form of an id. What one may hold at once is counted for it. */
  readonly subjectId?: string | undefined
  /** For people: in logs and lists. */
  readonly name: string
  readonly authType: AuthType
  readonly role: Role
  /**
   * Patterns over tool names (see permissions.ts). For OAuth2 these come from
   * the `mcp:tool:<pattern>` scopes.
   */
  readonly permissions: readonly string[]
  /** OAuth2: who issued the token. */
  readonly issuer?: string | undefined
  /** OAuth2: the scopes as granted, for step-up challenges. */
  readonly scopes?: readonly string[]
  /** What handlers may know of it besides: what an authenticator told, a key's owner, claims of OAUTH2_CLAIMS. */
  readonly claims?: Claims | undefined
  /** ms since the epoch. */
  readonly authenticatedAt: number
  /** ms since the epoch; streams end then. */
  readonly expiresAt?: number | undefined
  /** API keys: from where it may be used; absent: from anywhere. */
  readonly cidrs?: readonly string[] | undefined
  /** OAuth2: when the token was issued, ms since the epoch; revocations of a subject reach what is older. */
  readonly issuedAt?: number | undefined
  /** What a revocation may name: `key:<id>`, `jti:<id>`, `sub:<subject>`, `client:<id>`. */
  readonly revocableAs: readonly string[]
}

/** Whom counters are named for that nobody may multiply: a subject makes clients at will. */
export function holderOf ({ id, subjectId }: Principal): string {
  return subjectId ?? id
}
