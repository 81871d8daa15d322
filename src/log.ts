import pino, { type DestinationStream, type Logger } from 'pino'

/** What the rest asks of a log. */
export interface Log {
  debug (data: object, message?: string): void
  info (data: object, message?: string): void
  warn (data: object, message?: string): void
  error (data: object, message?: string): void
}

/** Forms of credentials: keys of ours, other `sk-` keys, and tokens in three parts. */
const SECRETS = /mcpk_[a-z0-9]{10}_[A-Za-z0-9_-]{20,}|\bsk-[A-Za-z0-9_-]{16,}|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*|(?<=\/\/)[^\s/@]+(?=@)/g

/** A text with whatever looks like a credential taken out. */
export function masked (text: string): string {
  return text.replace(SECRETS, '[redacted]')
}

/** ISO 8601 in UTC. The text of the second is kept: making it anew is a tenth of the cost of a line. */
const isoTime = (() => {
  let second = -1
  let text = ''
  return () => {
    const now = Date.now()
    const current = Math.floor(now / 1000)
    if (current !== second) {
      second = current
      text = `,"time":"${new Date(current * 1000).toISOString().slice(0, 20)}`
    }
    return `${text}${String(now % 1000).padStart(3, '0')}Z"`
  }
})()

interface Seen { type?: string, message: string, code?: unknown, stack?: string, cause?: Seen | string }

/** Only what helps: libraries hang commands with their arguments on their errors. */
function error (thrown: unknown, depth = 0): Seen {
  if (!(thrown instanceof Error)) return { message: masked(String(thrown)) }
  const { name, message, stack, cause } = thrown
  const { code } = thrown as { code?: unknown }
  return {
    type: name,
    message: masked(message),
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    ...(stack === undefined ? {} : { stack: masked(stack) }),
    ...(cause === undefined || depth > 2 ? {} : { cause: error(cause, depth + 1) })
  }
}

/**
 * The process's log: JSON, a line an event.
 *
 * @param destination where to; standard output, gathered for up to half a second, if absent
 */
export function createLog ({ debug = false, destination }: { debug?: boolean, destination?: DestinationStream }): Logger & { flushNow: () => void } {
  const to = destination ?? pino.destination({ dest: 1, sync: false, minLength: 4096 })
  if (destination === undefined) {
    const flush = setInterval(() => { (to as pino.DestinationStream & { flush: () => void }).flush() }, 500)
    flush.unref()
  }
  const log = pino({
    level: debug ? 'debug' : 'info',
    base: null,
    timestamp: isoTime,
    formatters: { level: label => ({ level: label }) },
    serializers: { err: thrown => error(thrown) },
    redact: { paths: ['headers', 'authorization', '*.authorization', '*.token', '*.key', '*.secret', '*.password'], censor: '[redacted]' }
  }, to)
  return Object.assign(log, {
    flushNow () {
      try { (to as { flushSync?: () => void }).flushSync?.() } catch { /* standard output is gone: nobody reads the rest */ }
    }
  })
}
