import { mayUse, mayUseSome } from '../../../core/permissions.ts'
import type { Principal } from '../../../core/principal.ts'
import type { OfferedPrompt, OfferedResource } from '../../../tools/catalogue.ts'
import { Relayed } from '../../../tools/relayed.ts'
import type { Complete } from '../../../tools/tool.ts'
import type { HandledRequest } from '../host.ts'

/** The most that one answer may hold. */
const MAX_VALUES = 100

/**
 * Values for an argument of a prompt, or a variable of a template, that begin with what was typed. @throws
 * {AppError} FORBIDDEN
 */
export async function complete (request: HandledRequest): Promise<object> {
  const offered = request.allowed().offered as OfferedPrompt | OfferedResource | undefined
  const { argument, context } = request.params
  const { name, value: typed } = argument!
  const others = context?.arguments ?? {}
  const completer = completerOf(offered, name)
  const completed = completer === undefined ? [] : await completer(typed, others, await request.context())
  const found = completed instanceof Relayed ? completed.result.values : [...completed]
  const values =
    offered !== undefined && 'template' in offered
      ? usable(offered, request.message.principal, { name, others }, found)
      : found
  // All that an upstream has: it says itself how many there are.
  if (completed instanceof Relayed && values.length === found.length) return { completion: completed.result }
  return {
    completion: { values: values.slice(0, MAX_VALUES), total: values.length, hasMore: values.length > MAX_VALUES }
  }
}

function completerOf (offered: OfferedPrompt | OfferedResource | undefined, name: string): Complete | undefined {
  if (offered === undefined) return undefined
  if ('prompt' in offered) return offered.arguments.find(arg => arg.name === name)?.complete
  const { complete = {} } = offered.resource
  return Object.hasOwn(complete, name) ? complete[name] : undefined
}

interface Completing { readonly name: string, readonly others: Readonly<Record<string, string>> }

/** Values that lead to something the principal may use: what it may not read is not told by its name, either. */
function usable (
  { template }: OfferedResource,
  principal: Principal,
  { name, others }: Completing,
  values: readonly string[]
): string[] {
  return values.filter(value => {
    const expanded = template!.expand({ ...others, [name]: value })
    if (expanded === undefined) return false
    return expanded.whole
      ? mayUse(principal, 'resource', expanded.uri)
      : mayUseSome(principal, 'resource', expanded.uri)
  })
}
