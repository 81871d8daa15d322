import { pathToFileURL } from 'node:url'
import { resolve } from 'node:path'
import Type, { type Static } from 'typebox'
import { hashKey } from '../core/api-key.ts'
import { PERMISSION_PATTERN } from '../core/permissions.ts'
import type { Principal } from '../core/principal.ts'
import { RecentSet } from '../core/recent-set.ts'
import { compileSchema } from '../core/schema.ts'
import { UsageError } from '../errors.ts'
import type { Credential } from '../core/credential.ts'
import type { Authenticator, RequestFacts } from './authenticator.ts'

/** What a custom authenticator answers for a credential that is its own. */
export const CustomIdentity = Type.Object({
  id: Type.String({ minLength: 1, maxLength: 256 }),
  name: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
  permissions: Type.Array(Type.String({ pattern: PERMISSION_PATTERN }), { maxItems: 256 }),
  /** What handlers may know of the caller besides. */
  claims: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  /** ms since the epoch. */
  expiresAt: Type.Optional(Type.Integer({ minimum: 0 }))
}, { additionalProperties: false })

export type CustomIdentity = Static<typeof CustomIdentity>

/**
 * The default export of the module that `AUTHENTICATOR` names. `undefined`
 * means that the credential is not known to it, which ends in a 401.
 */
export type CustomAuthenticator = (credential: Credential, presented: RequestFacts) =>
CustomIdentity | undefined | Promise<CustomIdentity | undefined>

const shape = compileSchema(CustomIdentity)

/** Credentials that are remembered to have been accepted. */
const MAX_ACCEPTED = 10_000

/** Wrap an operator's function as a link of the chain; what it returns is checked each time. */
export function customAuthenticator (identify: CustomAuthenticator): Authenticator {
  const principalFor = async (credential: Credential, presented: RequestFacts): Promise<Principal | undefined> => {
    const identity = credential.type === 'none' ? undefined : await identify(credential, presented)
    return identity === undefined ? undefined : principalOf(identity)
  }
  const accepted = new RecentSet(MAX_ACCEPTED)
  return {
    type: 'custom',
    async authenticate (credential, presented) {
      if (credential.type === 'none') return undefined
      const hash = hashKey(credential.value)
      if (presented.standing === 'over' && !accepted.has(hash)) return undefined
      const principal = await principalFor(credential, presented)
      if (principal === undefined) return undefined
      accepted.add(hash)
      return { principal }
    },
    recheck: principalFor
  }
}

/**
 * A link for one request whose caller the app around this service knows.
 *
 * @param ask who it is; asked again each minute while a stream is open
 */
export function givenIdentity (ask: () => Promise<CustomIdentity | undefined>): Authenticator {
  const principal = async () => {
    const identity = await ask()
    return identity === undefined ? undefined : principalOf(identity, 'principal')
  }
  return {
    type: 'custom',
    async authenticate () {
      const found = await principal()
      return found === undefined ? undefined : { principal: found }
    },
    recheck: principal
  }
}

function principalOf (identity: CustomIdentity, who = 'the custom authenticator'): Principal {
  if (!shape.fits(identity)) {
    throw new Error(`${who} returned a wrong identity: ${shape.problems(identity).join('; ')}`)
  }
  return {
    id: `custom:${identity.id}`,
    name: identity.name ?? identity.id,
    authType: 'custom',
    role: 'caller',
    permissions: identity.permissions,
    claims: identity.claims,
    authenticatedAt: Date.now(),
    expiresAt: identity.expiresAt,
    revocableAs: [`custom:${identity.id}`]
  }
}

/**
 * Import the module that the setting names.
 *
 * @throws {UsageError} naming the file and what is wrong with it
 */
export async function loadCustomAuthenticator (path: string): Promise<Authenticator> {
  let module: { default?: unknown }
  try {
    module = await import(pathToFileURL(resolve(path)).href)
  } catch (cause) {
    throw new UsageError(`AUTHENTICATOR: cannot load ${path}: ${(cause as Error).message}`)
  }
  if (typeof module.default !== 'function') {
    throw new UsageError(
      `AUTHENTICATOR: the default export of ${path} must be a function (credential, presented) => identity`
    )
  }
  return customAuthenticator(module.default as CustomAuthenticator)
}
