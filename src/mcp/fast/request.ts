/** Which requests the fast lane answers: those of common methods that ask for nothing on the way. */
import type { McpRequest } from '../message.ts'
import { isObject } from '../members.ts'
import { LOG_LEVEL_META_KEY } from '../sdk/protocol.ts'

/**
 * Whether a request is for the fast lane. Its form has been read. Whether what
 * it names exists is not asked: those who may not use it must not learn it by
 * the way their answer went.
 */
export function isFast ({ row, era, params }: McpRequest): boolean {
  if (!row.fast.includes(era)) return false
  // A request that comes again with answers, or wants to hear what is logged.
  return (
    params.requestState === undefined &&
    params.inputResponses === undefined &&
    !(isObject(params._meta) && Object.hasOwn(params._meta, LOG_LEVEL_META_KEY))
  )
}
