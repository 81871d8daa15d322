/** Which of the two forms of an answer a client takes: RFC 9110, section 12.5.1. */
export interface Accepted {
  /** `application/json`: the answer alone. */
  readonly json: boolean
  /** `text/event-stream`: the answer, and what comes before it. */
  readonly stream: boolean
}

const BOTH: Accepted = { json: true, stream: true }
const QUALITY = /^q=(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/i
/** Ranges that are read; nobody lists more, and each costs a look. */
const MAX_RANGES = 50

/**
 * Read an Accept header. One that is absent or empty takes everything; of the
 * ranges that match a type the most specific counts, and `q=0` refuses.
 */
export function accepted (header: unknown): Accepted {
  if (header === undefined || header === 'application/json, text/event-stream') return BOTH
  const text = Array.isArray(header) ? header.join(',') : String(header)
  if (text.trim() === '') return BOTH
  const ranges = text.split(',', MAX_RANGES).map(range => range.trim().toLowerCase())
  return { json: takes(ranges, 'application', 'json'), stream: takes(ranges, 'text', 'event-stream') }
}

function takes (ranges: readonly string[], type: string, subtype: string): boolean {
  let best = 0
  let taken = false
  for (const range of ranges) {
    const [name, ...parameters] = range.split(';').map(part => part.trim())
    const rank = name === `${type}/${subtype}` ? 3 : name === `${type}/*` ? 2 : name === '*/*' || name === '*' ? 1 : 0
    if (rank === 0 || rank < best) continue
    const quality = parameters.find(parameter => QUALITY.test(parameter))
    const wanted = quality === undefined || Number(quality.slice(2)) > 0
    taken = rank > best ? wanted : taken || wanted
    best = rank
  }
  return taken
}
