/** The log for a person at a terminal: one line a call instead of JSON. */
import type { DestinationStream } from 'pino'

/** A destination of the log that writes readable lines on. */
export function readableOutput (to: { write (text: string): unknown }): DestinationStream {
  return { write: line => { to.write(readable(line)) } }
}

interface ShownLine {
  level?: string
  time?: string
  msg?: string
  why?: string
  err?: { message?: string, stack?: string }
  method?: string
  http?: string
  target?: string
  decision?: string
  rule?: string
  principal?: string
  ms?: number
  reqId?: string
}

/** Lines that records have beside those of requests. */
const OF_THE_RECORD: ReadonlySet<string> = new Set(['chain', 'segment', 'seal', 'closed', 'begun', 'opened'])

/** One line of the log, readable; a line that is no JSON as it is. */
export function readable (text: string): string {
  let line: ShownLine
  try {
    line = JSON.parse(text) as ShownLine
  } catch {
    return text
  }
  const { level = 'info', time = '', msg = '', ...rest } = line
  const at = time.slice(11, 19)
  if (OF_THE_RECORD.has(msg)) return ''
  if (msg === 'request') return `${at}  ${call(rest)}\n`
  const { reqId: _, err, why, ...fields } = rest
  const more = Object.entries(fields)
    .map(([name, value]) => `  ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`).join('')
  const stack = err === undefined ? '' : `\n${err.stack ?? err.message ?? ''}`
  return `${at}  ${level === 'info' ? '' : `${level}: `}${msg}${why === undefined ? '' : `: ${why}`}${more}${stack}\n`
}

/** What was called, what was decided, how long it took, who called; and why it was refused. */
function call ({ method, http, target, decision = '', rule, principal, ms }: ShownLine): string {
  const what = method === 'tools/call' && target !== undefined ? target : [method ?? http, target].join(' ')
  const why = rule === undefined ? '' : `  (${rule})`
  const took = (ms ?? 0).toFixed(1).padStart(7)
  return `${what.padEnd(24)} ${decision.padEnd(16)} ${took} ms  ${principal ?? 'nobody'}${why}`
}
