import type { Refusal } from '../src/decision/layers.ts'
import { AppError } from '../src/errors.ts'

/** A refusal of a layer, as what plugins/errors.ts answers. */
export function refused (
  { reason, rule, text, data }: Refusal,
  message: string,
  headers: Record<string, string> = {}
): AppError {
  return new AppError(reason, text ?? message, { rule, headers, ...(data === undefined ? {} : { data: { ...data } }) })
}
