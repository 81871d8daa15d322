/** What an operator asks about a refusal: would this be served now, what decides, and what would mend it. */
import type { Authenticator } from '../auth/authenticator.ts'
import type { Exported } from '../audit/formats/ocsf.ts'
import { keyPrincipal } from '../auth/api-keys.ts'
import { hashKey, idIn, ruleOf } from '../core/api-key.ts'
import { normalAddress } from '../core/address.ts'
import type { Kind } from '../core/permissions.ts'
import { policyVersion } from '../core/policy-version.ts'
import { AppError, UsageError } from '../errors.ts'
import { explain, type Explanation, type PoliciesNow, type Presented } from '../decision/explain.ts'
import { explainRecord, targetIn, type RecordedDecision } from '../decision/recorded.ts'
import type { Store } from '../state/store.ts'
import { findKey } from './keys.ts'

export interface WhyQuestion {
  /** A request, by the id in its answer: what was decided then. Nothing else is asked with it. */
  readonly record?: string | undefined
  /** Id or name of a key. */
  readonly key?: string | undefined
  /** A key or an access token itself, as it would be presented. */
  readonly credential?: string | undefined
  /** A tool; a resource or prompt as permissions spell it: `resource:note://a`, `prompt:greet`. Absent: listing. */
  readonly tool?: string | undefined
  readonly args?: unknown
  readonly address?: string | undefined
  readonly host?: string | undefined
  readonly origin?: string | undefined
}

export interface WhyContext extends PoliciesNow {
  /** Who judges tokens. None of them is asked to count. */
  readonly authenticators: readonly Authenticator[]
  /** URL of the endpoint, for tokens that are bound to it. */
  readonly url: string
  /** The record of a request, of any replica, by the request's id. */
  readonly findRequest: (requestId: string) => Promise<Exported | undefined>
}

/**
 * Decide a message that nobody sent, with the policy of now. Counts nothing.
 *
 * @throws {UsageError} for a question that names nobody, or a key that is not there
 */
export async function why (question: WhyQuestion, context: WhyContext): Promise<Explanation> {
  const { record, key, credential, tool, args, host, origin } = question
  if (record !== undefined) return await whyRecord(question, context)
  if ((key === undefined) === (credential === undefined)) {
    throw new UsageError('Say who asks: a key by its id or name, or a token')
  }
  const address = question.address === undefined ? undefined : addressOf(question.address)
  const who = key === undefined ? await judged(credential!, address, context) : await recordOf(context.store, key)
  const target = tool === undefined ? undefined : targetIn(tool)
  return await explain({ who, address, host, origin, method: METHODS[target?.kind ?? 'none'], target, args }, context)
}

/** What was decided then, and whether the policy of then is that of now. */
async function whyRecord ({ record: requestId = '', ...more }: WhyQuestion, context: WhyContext): Promise<Explanation> {
  if (Object.values(more).some(value => value !== undefined)) {
    throw new UsageError('A record says who asked for what: name nothing beside it')
  }
  const record = await context.findRequest(requestId)
  if (record === undefined) {
    throw new UsageError(`There is no record of "${requestId.slice(0, 64)}". ` +
      'Redis has the newest of all replicas; the log and AUDIT_DIR of the replica that answered have the older ones')
  }
  const { catalogue, whyAbsent } = context
  const explanation = explainRecord(record as Exported & RecordedDecision, { catalogue, whyAbsent })
  const policyChanged = await hasPolicyChanged(record, context)
  const { principal, target, decision } = explanation
  const what = target === undefined ? '' : ` --tool '${target}'`
  const again = policyChanged === true && decision !== 'served'
    ? ['The policy of this key is another one now. Ask it: ' +
      `npx secure-mcp-server why --key ${principal!.slice('key:'.length)}${what}`]
    : []
  return { ...explanation, mend: [...again, ...explanation.mend], recorded: { time: record.time, policyChanged } }
}

/** Undefined where that cannot be known: of tokens, and of who was not identified. */
async function hasPolicyChanged (
  { principal, auth, pv }: Exported, { store, rules }: WhyContext
): Promise<boolean | undefined> {
  if (auth !== 'api_key' || typeof pv !== 'string') return undefined
  const record = await store.findKey(String(principal).slice('key:'.length))
  if (record === undefined) return true
  return policyVersion(keyPrincipal(record, store.now()), ruleOf(record, rules.api_key).limit) !== pv
}

const METHODS: Readonly<Record<Kind | 'none', string>> = {
  tool: 'tools/call', prompt: 'prompts/get', resource: 'resources/read', none: 'tools/list'
}

function addressOf (text: string): string {
  const address = normalAddress(text)
  if (address === undefined) throw new UsageError(`"${text.slice(0, 64)}" is no address`)
  return address
}

async function recordOf (store: Store, which: string): Promise<Presented> {
  const record = await findKey(store, which)
  return { record, hash: record.hash }
}

/** Who a credential stands for: a key by its hash, without a look-up that counts; anything else by who judges it. */
async function judged (
  value: string, address: string | undefined, { store, authenticators, url }: WhyContext
): Promise<Presented> {
  const hash = hashKey(value)
  const id = idIn(value)
  const found = id === undefined ? undefined : await store.findKey(id)
  const keys = found === undefined ? await store.listKeys() : [found]
  const record = keys.find(key => key.hash === hash || key.previous?.hash === hash)
  if (record !== undefined) return { record, hash }
  if (value.startsWith('mcpk_')) return { refused: unknown('api key unknown') }
  const credential = { type: 'bearer', value } as const
  try {
    for (const authenticator of authenticators) {
      if (authenticator.type === 'api_key') continue
      const known = await authenticator.authenticate(credential, { address: address ?? '', method: 'POST', url })
      if (known !== undefined) return { principal: known.principal }
    }
  } catch (error) {
    if (error instanceof AppError) return { refused: error }
    throw error
  }
  const explained = authenticators.map(authenticator => authenticator.explain?.(credential)).find(Boolean)
  return { refused: unknown(explained ?? 'no authenticator knows it') }
}

function unknown (why: string): AppError {
  return new AppError('INVALID_CREDENTIAL', 'Authentication required', { cause: why, rule: why })
}
