import Type from 'typebox'
import { defineTool, ToolError } from '../tool.ts'

export default defineTool({
  name: 'get_time',
  description: 'Tell the current date and time, in UTC and in a time zone.',
  annotations: { readOnlyHint: true, openWorldHint: false },

  input: Type.Object(
    {
      time_zone: Type.Optional(
        Type.String({ maxLength: 64, description: 'IANA name, such as Europe/Berlin. Default: UTC.' })
      )
    },
    { additionalProperties: false }
  ),

  output: Type.Object(
    {
      utc: Type.String({ description: 'ISO 8601, UTC.' }),
      local: Type.String({ description: 'Date and time in the zone.' }),
      time_zone: Type.String({ description: 'The zone used.' })
    },
    { additionalProperties: false }
  ),

  run ({ time_zone: timeZone = 'UTC' }) {
    const now = new Date()
    try {
      return { utc: now.toISOString(), local: formatterOf(timeZone).format(now), time_zone: timeZone }
    } catch {
      throw new ToolError(
        `There is no time zone "${timeZone.replace(/[^\w/+-]/g, '')}". Use an IANA name, such as Europe/Berlin.`
      )
    }
  }
})

/** Making one costs fifty times what using it does. There are some 600 names of zones. */
const formatters = new Map<string, Intl.DateTimeFormat>()

/** @throws {RangeError} if there is no such zone */
function formatterOf (timeZone: string): Intl.DateTimeFormat {
  const kept = formatters.get(timeZone)
  if (kept !== undefined) return kept
  const made = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'long' })
  // Zones are matched in any case, so names are more than zones.
  if (formatters.size >= 1000) formatters.clear()
  formatters.set(timeZone, made)
  return made
}
