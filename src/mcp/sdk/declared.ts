import { specTypeSchemas } from '@modelcontextprotocol/server'
import { AppError } from '../../errors.ts'
import type { Json } from '../members.ts'

/**
 * What `initialize` declares in the form that the SDK gives it, for instance with the `form` that an empty
 * `elicitation` means.
 */
export function declaredBy (params: Json): Json {
  const parsed = specTypeSchemas.InitializeRequestParams['~standard'].validate(params)
  if (parsed.issues !== undefined) {
    throw new AppError('INVALID_PARAMS', 'Invalid params: what initialize declares is not well formed')
  }
  return parsed.value as Json
}
