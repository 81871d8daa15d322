/** OAuth2 as the settings describe it: whom to trust, how to check, whom to ask. */
import type { Config } from '../../settings/schema.ts'
import type { TokenRules } from '../../core/access-token.ts'
import type { GrantableScopes } from '../../core/oauth-scopes.ts'
import type { Store } from '../../state/store.ts'
import type { Log } from '../../telemetry/log.ts'
import type { Authenticator } from '../authenticator.ts'
import { OAuth2Authenticator } from './authenticator.ts'
import type { RefreshPolicy } from '../../resilience/refreshing-cache.ts'
import { introspection, tokenInfo, type Introspection } from './introspection.ts'
import { Issuer, METADATA_POLICY, type IssuerOptions } from './issuer.ts'
import { JWKS_POLICY } from './jwks.ts'
import { rulesFor, type JwtRules, type VerifyJwt } from './jwt.ts'

/** Makes a verifier for each set of rules, in their order. */
export type MakeVerifiers = (rules: readonly JwtRules[]) => Promise<VerifyJwt[]>

export interface OAuth2 {
  readonly authenticator: Authenticator
  readonly issuers: readonly Issuer[]
  /** What an issuer can grant, for challenges; the first one where none is named. */
  grantable (issuer?: string): GrantableScopes
}

export interface RefreshPolicies {
  readonly metadata?: Partial<RefreshPolicy>
  readonly jwks?: Partial<RefreshPolicy>
  readonly maxFetches?: number
  /** How long one question may take, ms; one bound for fetches and one for introspection if absent. */
  readonly answerMs?: number
}

export async function oauth2FromSettings ({ config, store, log, makeVerifiers, policies = {} }: {
  config: Config, store: Store, log: Log, makeVerifiers: MakeVerifiers, policies?: RefreshPolicies | undefined
}): Promise<OAuth2> {
  const how = config.OAUTH2_VALIDATION
  const verifiesJwt = how === 'auto' || how === 'jwt'
  const secret = config.OAUTH2_JWT_SECRET
  const rules: TokenRules = {
    audiences: config.OAUTH2_AUDIENCE,
    scopeClaims: config.OAUTH2_SCOPE_CLAIMS,
    scopeMap: config.OAUTH2_SCOPE_MAP,
    claims: config.OAUTH2_CLAIMS,
    skewMs: config.OAUTH2_CLOCK_SKEW_MS,
    maxAgeMs: config.OAUTH2_MAX_TOKEN_AGE_MS,
    introspectionWithoutAud: config.OAUTH2_INTROSPECTION_WITHOUT_AUD
  }

  const issuers = config.OAUTH2_AUTH_SERVER.map(name => new Issuer({
    name,
    urls: {
      metadata: config.OAUTH2_METADATA_URL.get(name),
      jwks: config.OAUTH2_JWKS_URL.get(name),
      introspection: config.OAUTH2_INTROSPECTION_URL.get(name)
    },
    publicKeys: verifiesJwt && secret === undefined,
    metadataPolicy: { ...METADATA_POLICY, ...policies.metadata },
    jwksPolicy: { ...JWKS_POLICY, staleMs: config.OAUTH2_STALE_KEYS_MS, ...policies.jwks },
    ...(policies.maxFetches === undefined ? {} : { maxFetches: policies.maxFetches }),
    ...(policies.answerMs === undefined ? {} : { answerMs: policies.answerMs }),
    onState: tellingOf(name, log)
  }))

  const jwtRules = (verifiesJwt ? issuers : []).map(issuer => rulesFor(issuer, {
    audiences: config.OAUTH2_AUDIENCE,
    algorithms: config.OAUTH2_ALGORITHMS,
    typ: config.OAUTH2_TOKEN_TYP,
    skewMs: rules.skewMs,
    secret
  }))
  const made = await makeVerifiers(jwtRules)
  const authenticator = new OAuth2Authenticator({
    store,
    rules,
    issuers,
    verifiers: new Map(made.map((verify, i) => [issuers[i]!.name, { rules: jwtRules[i]!, verify }])),
    introspections: issuers.flatMap(issuer => whomToAsk(issuer, rules, config, policies.answerMs))
  })
  return {
    authenticator,
    issuers,
    grantable: (name = issuers[0]?.name) => ({
      login: config.OAUTH2_LOGIN_SCOPES,
      map: config.OAUTH2_SCOPE_MAP,
      published: issuers.find(issuer => issuer.name === name)?.scopesSupported
    })
  }
}

/** One line when an authorization server gets into trouble, and one when it is out again, with how long that was. */
function tellingOf (issuer: string, log: Log): NonNullable<IssuerOptions['onState']> {
  const since = new Map<string, number>()
  return (what, trouble) => {
    if (trouble !== undefined) {
      since.set(what, performance.now())
      return log.warn({ issuer, what, why: trouble.message }, 'authorization server is in trouble')
    }
    const forMs = Math.round(performance.now() - (since.get(what) ?? performance.now()))
    log.info({ issuer, what, forMs }, 'authorization server answers again')
  }
}

/** Opaque tokens are asked about where the settings allow it: with credentials, or in the form that takes none. */
function whomToAsk (
  issuer: Issuer, rules: TokenRules, config: Config, answerMs: number | undefined
): Introspection[] {
  const { OAUTH2_VALIDATION: how, OAUTH2_TOKENINFO_URL: url } = config
  const { OAUTH2_CLIENT_ID: id, OAUTH2_CLIENT_SECRET: secret } = config
  if (how === 'tokeninfo') return [tokenInfo(issuer, rules, url ?? `${issuer.name.replace(/\/$/, '')}/tokeninfo`, answerMs)]
  return how !== 'jwt' && id !== undefined ? [introspection(issuer, rules, { id, secret }, answerMs)] : []
}
