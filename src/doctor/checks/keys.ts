/** API keys, and what they may use. */
import { allows } from '../../core/permissions.ts'
import type { KeyView } from '../../operate/keys.ts'
import { bad, defineCheck, warn, well, type Diagnosis, type HealthCheck, type KeyFacts } from '../check.ts'

const DAY_MS = 86_400_000
const UNUSED_DAYS = 90
const ENDS_SOON_DAYS = 7

function ofKeys (
  id: string, asks: string, judge: (facts: KeyFacts & { living: readonly KeyView[] }) => Diagnosis | undefined
): HealthCheck {
  return defineCheck({
    id,
    asks,
    needs: 'keys',
    run (facts) {
      if ('fault' in facts) return undefined
      return judge(
        { ...facts, living: facts.keys.filter(({ status }) => status === 'active' || status === 'rotating') }
      )
    }
  })
}

const named = (
  keys: readonly KeyView[]
) => keys.slice(0, 10).map(({ name }) => name).join(', ') + (keys.length > 10 ? ` and ${keys.length - 10} more` : '')

export const KEY_CHECKS: readonly HealthCheck[] = [
  defineCheck({
    id: 'tools',
    asks: 'the tools can be loaded',
    needs: 'keys',
    run: facts => 'fault' in facts
      ? bad(facts.fault, 'Correct the file that is named')
      : well(`${facts.offered.length} tools, resources and prompts`)
  }),
  ofKeys(
    'plain-keys',
    'keys are kept as hashes',
    ({ fileWarnings: [first] }) => first === undefined
      ? well('no key stands in plain text')
      : warn(first, 'keys import <file>, then remove the values')
  ),
  ofKeys('wide-keys', 'no key may use everything for ever', ({ living }) => {
    const wide = living.filter(
      ({ role, permissions, expires }) => role === 'caller' && permissions.includes('*') && expires === undefined
    )
    return wide.length === 0
      ? well('each key has an end or a narrower permission')
      : warn(
      `May use everything, without an end: ${named(wide)}`,
      'keys change <key> --drop \'*\' --allow <pattern>, or --expires 90d'
      )
  }),
  ofKeys('unused-keys', 'each key is used', ({ living, now }) => {
    const unused = living.filter(({ created, lastUsed = created }) => now - lastUsed > UNUSED_DAYS * DAY_MS)
    return unused.length === 0
      ? well(`used within ${UNUSED_DAYS} days`)
      : warn(`Not used for ${UNUSED_DAYS} days: ${named(unused)}`, 'keys revoke <key>')
  }),
  ofKeys('ending-keys', 'no key ends this week', ({ living, now }) => {
    const ending = living.filter(({ expires }) => expires !== undefined && expires - now < ENDS_SOON_DAYS * DAY_MS)
    return ending.length === 0
      ? well(`none ends within ${ENDS_SOON_DAYS} days`)
      : warn(
      `Ends within ${ENDS_SOON_DAYS} days: ${named(ending)}`, 'keys change <key> --expires 90d, or keys rotate <key>'
      )
  }),
  ofKeys('operator-key', 'somebody can manage the running server', (
    { living }
  ) => living.some(({ role }) => role === 'operator')
    ? well('there is an operator key')
    : warn(
      'There is no operator key: status and the management API cannot be used',
      'keys create <name> --role operator --allow \'read.*\''
    )),
  ofKeys('doubled-names', 'a name is one key', ({ living }) => {
    const doubled = living.filter(({ id, name }) => living.some(other => other.name === name && other.id !== id))
    return doubled.length === 0
      ? well('names are told apart')
      : warn(`Several keys have the name: ${named(doubled)}`, 'Revoke one of them by its id')
  }),
  ofKeys('idle-patterns', 'each permission gives something', ({ living, offered }) => {
    const idle = living.filter(({ role, permissions }) => role === 'caller' && permissions.some(
      pattern => !pattern.startsWith('!') && !offered.some(name => allows([pattern], name))
    ))
    return idle.length === 0
      ? well('every pattern matches something that is offered')
      : warn(`Has a pattern that matches nothing: ${named(idle)}`, 'Compare keys show <key> with tools list')
  }),
  ofKeys('unreachable-tools', 'each tool may be used by somebody', ({ living, offered }) => {
    const callers = living.filter(({ role }) => role === 'caller')
    const nobodys = offered.filter(name => !callers.some(({ permissions }) => allows(permissions, name)))
    return nobodys.length === 0 || callers.length === 0
      ? well('no tool is out of reach of every key')
      : warn(
        `No key may use: ${nobodys.slice(0, 10).join(', ')}`, 'keys change <key> --allow <tool>, or remove the tool'
      )
  })
]
