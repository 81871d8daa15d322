/** The fold over the layers that look at a message: may it run, with what, and what does it cost. */
import type { Target } from '../core/permissions.ts'
import type { Principal } from '../core/principal.ts'
import type { Catalogue, OfferedTool } from '../tools/catalogue.ts'
import {
  judgeArguments, judgeExistence, judgeInspection, judgeParamHeaders, judgePermission, judgeScope, offeredFor, wordsOf,
  type HeadersOfMessage, type Inspection, type Offered, type LayerInput, type Refusal
} from './layers.ts'

export interface Allowance {
  readonly outcome: 'allow'
  readonly target?: Target | undefined
  /** What the catalogue has for the target; undefined for methods that name nothing. */
  readonly offered?: Offered | undefined
  /** The arguments that were judged: these and no others are run. */
  readonly input?: unknown
  /** Units it takes from the principal's limit. */
  readonly cost: number
  /** What would have refused it, were its policy not only observed. */
  readonly observed?: Refusal | undefined
}

export type Decision = Allowance | Refusal

/** A message as it came, and who sends it. */
export interface Asked {
  readonly principal: Principal
  readonly method: string
  /** What the message names; undefined for methods that name nothing. */
  readonly target: Target | undefined
  /** `arguments` as sent; of a completion the values by their names. */
  readonly args?: unknown
  readonly headers?: HeadersOfMessage | undefined
}

export interface Policy {
  readonly catalogue: Catalogue
  readonly inspection: Inspection
  /**
   * Counts what a call costs beyond the one that every request counts.
   * Absent: nothing is counted, for explanations and dry runs.
   */
  readonly charge?: ((tool: OfferedTool, target: Target) => Promise<Refusal | undefined>) | undefined
}

/** A message that names nothing is let through. */
export const NOTHING_NAMED: Allowance = { outcome: 'allow', cost: 1 }

/**
 * Decide a message: scope, permission, existence, headers that repeat
 * arguments, cost, arguments, inspection; the first that refuses ends it. Only
 * a call that costs more than one, has a rate of its own, or brings much text needs a promise.
 *
 * What may not be used is refused before anything is looked up or counted, so
 * it looks and costs like what does not exist.
 */
export function decide (asked: Asked, policy: Policy): Decision | Promise<Decision> {
  if (asked.target === undefined) return NOTHING_NAMED
  const question = asked as LayerInput
  const { target, method } = question
  const refused = judgeScope(question) ?? judgePermission(question)
  if (refused !== undefined) return refused
  const offered = offeredFor(question, policy.catalogue)
  const missing = judgeExistence(question, offered)
  if (missing !== undefined) return missing
  if (method === 'tools/call') return decideCall(question, offered as OfferedTool, policy)
  const words = wordsOf(question, offered)
  const allowance: Allowance = { outcome: 'allow', target, offered, cost: 1 }
  return words === undefined ? allowance : decideWords(allowance, words, policy)
}

function decideCall (question: LayerInput, tool: OfferedTool, policy: Policy): Decision | Promise<Decision> {
  const mismatch = judgeParamHeaders(question, tool)
  if (mismatch !== undefined) return mismatch
  const { charge } = policy
  if (charge === undefined || (tool.cost === 1 && tool.tool.rate === undefined)) {
    return decideArguments(question, tool, policy)
  }
  return charge(tool, question.target).then(over => over ?? decideArguments(question, tool, policy))
}

function decideArguments (
  { target, args }: LayerInput,
  tool: OfferedTool,
  policy: Policy
): Decision | Promise<Decision> {
  const input = args ?? {}
  const wrong = judgeArguments(target, input, tool)
  if (wrong !== undefined) return wrong
  return decideWords({ outcome: 'allow', target, offered: tool, input, cost: tool.cost }, input, policy)
}

/** The last layer: what was let through so far, unless its words look like an attack. */
function decideWords (
  allowance: Allowance,
  words: unknown,
  { inspection: { mode, inspector } }: Policy
): Decision | Promise<Decision> {
  if (mode === 'off') return allowance
  const judged = judgeInspection(allowance.target!, words, allowance.offered!, inspector)
  const settle = (refused: Refusal | undefined): Decision =>
    refused === undefined ? allowance : mode === 'block' ? refused : { ...allowance, observed: refused }
  return judged instanceof Promise ? judged.then(settle) : settle(judged)
}
