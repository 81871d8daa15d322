import { UsageError } from '../errors.ts'

const UNITS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }

/**
 * A length of time such as `90d`, in ms.
 *
 * @param option named in the message
 * @param least ms; what lasts no time would be over before it began
 * @throws {UsageError}
 */
export function durationMs (option: string, text: string, least = 1): number {
  const match = /^(\d{1,6})([smhdw])$/.exec(text)
  if (match === null) throw new UsageError(`${option} is a number and a unit: 30s, 15m, 24h, 90d, 12w`)
  const ms = Number(match[1]) * UNITS[match[2]!]!
  if (ms < least) throw new UsageError(`${option} must be longer than nothing: 30s, 15m, 24h, 90d, 12w`)
  return ms
}
