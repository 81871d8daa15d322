import pino, { type Bindings, type ChildLoggerOptions, type DestinationStream, type Logger } from 'pino'
import { isoNow } from './iso-now.ts'
import { output, type Output } from './output.ts'
import { redact } from './redact.ts'

/** What the rest asks of a log. */
export interface Log {
  debug (data: object, message?: string): void
  info (data: object, message?: string): void
  warn (data: object, message?: string): void
  error (data: object, message?: string): void
}

/** A log whose every line bears the id of one request. */
export function logOf (requestId: string, log: Log): Log {
  return {
    debug: (data, message) => log.debug({ reqId: requestId, ...data }, message),
    info: (data, message) => log.info({ reqId: requestId, ...data }, message),
    warn: (data, message) => log.warn({ reqId: requestId, ...data }, message),
    error: (data, message) => log.error({ reqId: requestId, ...data }, message)
  }
}

const isoTime = () => `,"time":"${isoNow()}"`

interface LoggedError { type?: string, message: string, code?: unknown, stack?: string, cause?: LoggedError | string }

/** Only what helps: libraries hang commands with their arguments on their errors. */
function error (thrown: unknown, depth = 0): LoggedError {
  if (!(thrown instanceof Error)) return { message: String(thrown) }
  const { name, message, stack, cause } = thrown
  const { code } = thrown as { code?: unknown }
  return {
    type: name,
    message,
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    ...(stack === undefined ? {} : { stack }),
    ...(cause === undefined || depth > 2 ? {} : { cause: error(cause, depth + 1) })
  }
}

type Parent = Pick<Logger, 'level' | 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent'> & {
  child (bindings: Bindings): Parent
}

/** A child that is made when it is first written to: most requests write nothing but their line. */
export class LazyChildLogger {
  readonly level: string
  readonly #parent: Parent
  readonly #bindings: Bindings
  #own: Parent | undefined

  constructor (parent: Parent, bindings: Bindings) {
    this.level = parent.level
    this.#parent = parent
    this.#bindings = bindings
  }

  get #log (): Parent {
    this.#own ??= this.#parent.child(this.#bindings)
    return this.#own
  }

  trace (data: object | string, message?: string): void { this.#log.trace(data, message) }
  debug (data: object | string, message?: string): void { this.#log.debug(data, message) }
  info (data: object | string, message?: string): void { this.#log.info(data, message) }
  warn (data: object | string, message?: string): void { this.#log.warn(data, message) }
  error (data: object | string, message?: string): void { this.#log.error(data, message) }
  fatal (data: object | string, message?: string): void { this.#log.fatal(data, message) }
  silent (data: object | string, message?: string): void { this.#log.silent(data, message) }
  child (bindings: Bindings): Parent { return this.#log.child(bindings) }
}

/** What is called a credential is taken out by its name, whatever it looks like. */
const REDACT = {
  paths: ['headers', 'authorization', '*.authorization', '*.token', '*.key', '*.secret', '*.password'],
  censor: '[redacted]'
}

/**
 * For a child of another app's log: errors are written as here, and texts that look like credentials are taken out
 * of each line's members, since the app's own output does not do it.
 */
export const childLogOptions: ChildLoggerOptions = {
  serializers: { err: thrown => error(thrown) },
  redact: REDACT,
  formatters: { log: redactMembers }
}

function redactMembers (members: object): object {
  return Object.fromEntries(
    Object.entries(members).map(([name, value]) => [name, typeof value === 'string' ? redact(value) : value])
  )
}

/** Redaction where lines are written: no field, name or text can go around it. */
function redacting (to: DestinationStream): DestinationStream {
  return { write (line) { to.write(redact(line)) } }
}

export interface LogOptions {
  debug?: boolean
  /** Where to; standard output if absent. */
  destination?: DestinationStream
}

/**
 * The process's log: JSON, a line an event. `end` and `endNow` are those of its output; `line` writes what is
 * JSON and redacted already.
 */
export function createLog ({ debug = false, destination }: LogOptions = {}): Logger &
  Pick<Output, 'end' | 'endNow'> & { line (text: string): void } {
  const out =
    destination === undefined
      ? output(1, lines => log.warn({ lines }, 'lines of the log were lost: its reader did not keep up'))
      : undefined
  const log: Logger = pino(
    {
      level: debug ? 'debug' : 'info',
      base: null,
      timestamp: isoTime,
      formatters: { level: label => ({ level: label }) },
      serializers: { err: thrown => error(thrown) },
      // The rest by its form, in each line as it is written.
      redact: REDACT
    },
    redacting(out ?? destination!)
  )
  return Object.assign(log, {
    async end (ms: number) {
      await out?.end(ms)
    },
    endNow () {
      out?.endNow()
    },
    line (text: string) {
      if (out !== undefined) return out.write(text)
      for (const line of text.trimEnd().split('\n')) destination!.write(line + '\n')
    }
  })
}
