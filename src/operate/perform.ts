/** The one way to an operation: permission, form of what is asked, version, repetition, and a line of what changed. */
import { hash } from 'node:crypto'
import type { OperationDone } from '../audit/record.ts'
import { mayPerform } from '../core/operators.ts'
import type { Principal } from '../core/principal.ts'
import { compileSchema, type Check } from '../core/schema.ts'
import type { Trace } from '../decision/trace.ts'
import { AppError, UsageError } from '../errors.ts'
import type { Idempotency, RepeatableAnswer } from './idempotency.ts'
import type { OperateContext, Operation } from './operation.ts'

/** One request of an operator, as it came. */
export interface OperatorRequest {
  readonly operator: Principal
  readonly input: Readonly<Record<string, unknown>>
  /** Headers `If-Match` and `Idempotency-Key`. */
  readonly ifMatch?: string | undefined
  readonly idempotencyKey?: string | undefined
  readonly trace: Trace
}

export type OperatorAnswer = RepeatableAnswer & { readonly replayed: boolean }

const MAX_IDEMPOTENCY_KEY = 255

export class Performer {
  readonly #context: () => OperateContext
  readonly #idempotency: Idempotency
  readonly #record: (done: OperationDone) => void
  readonly #checks = new Map<string, Check>()

  /** @param context asked at each request: what is offered changes */
  constructor (context: () => OperateContext, idempotency: Idempotency, record: (done: OperationDone) => void) {
    this.#context = context
    this.#record = record
    this.#idempotency = idempotency
  }

  /**
   * @throws {AppError} FORBIDDEN, INVALID_REQUEST, PRECONDITION_REQUIRED, PRECONDITION_FAILED, NOT_FOUND,
   *   STATE_UNAVAILABLE
   */
  async perform (operation: Operation, request: OperatorRequest): Promise<OperatorAnswer> {
    const { operator, input, trace, idempotencyKey } = request
    trace.method = operation.name
    if (!mayPerform(operator, operation.needs)) {
      throw new AppError(
        'FORBIDDEN', `This operator may not do this: it needs ${operation.needs}`, { rule: operation.needs }
      )
    }
    this.#refuseUnfit(operation, input)
    const ifMatch = operation.versioned === true ? versionIn(request.ifMatch) : undefined
    const work = () => this.#run(operation, request, ifMatch)
    if (operation.method !== 'POST' || idempotencyKey === undefined) return { ...await work(), replayed: false }
    const key = keyIn(idempotencyKey)
    const fingerprint = hash('sha256', JSON.stringify([operation.name, input, ifMatch]), 'hex')
    return await this.#idempotency.once({ operator: operator.id, key, fingerprint }, work)
  }

  async #run (operation: Operation, request: OperatorRequest, ifMatch: string | undefined): Promise<RepeatableAnswer> {
    const { operator, input, trace } = request
    trace.target = itemOf(input)
    try {
      const { body, version, secret, before } = await operation.run(
        this.#context(), input, { operator, ifMatch, trace }
      )
      if (operation.method !== 'GET' && operation.needs.startsWith('write.')) {
        const after = without(body, secret) ?? undefined
        // What is done is to be answered, whatever becomes of its record.
        trace.ran = true
        this.#record({
          reqId: trace.requestId, principal: operator.id, operation: operation.name, target: trace.target, before, after
        })
      }
      return { status: operation.status ?? 200, body: body as RepeatableAnswer['body'], version, secret }
    } catch (error) {
      if (error instanceof UsageError) throw new AppError('INVALID_REQUEST', error.message, { rule: 'operation' })
      throw error
    }
  }

  #refuseUnfit ({ name, input: schema }: Operation, input: unknown): void {
    const check = this.#checks.get(name) ?? compileSchema(schema)
    this.#checks.set(name, check)
    if (check.fits(input)) return
    const members = Object.keys((schema as { properties?: object }).properties ?? {})
    const problems = check.problems(input).map(sentence => {
      const first = sentence.split(/[ .]/, 1)[0]!
      return { path: members.includes(first) ? first : '', message: sentence }
    })
    throw new AppError(
      'INVALID_REQUEST', problems.map(({ message }) => message).join('; '), { data: { problems }, rule: 'input' }
    )
  }
}

/** RFC 9110 §13.1.1: one strong version, or `*` for whatever is there. */
function versionIn (header: string | undefined): string | undefined {
  if (header === undefined) {
    throw new AppError(
      'PRECONDITION_REQUIRED', 'Send If-Match with the ETag of what you change, or * to change whatever is there'
    )
  }
  if (header.trim() === '*') return undefined
  const [, version] = /^"([^"]{1,128})"$/.exec(header.trim()) ?? []
  if (version === undefined) throw new AppError('INVALID_REQUEST', 'If-Match must be one ETag, as it was given')
  return version
}

/** The header is a string of structured fields; most clients send it without quotes. */
function keyIn (header: string): string {
  const key = header.trim().replace(/^"(.*)"$/, '$1')
  if (key !== '' && key.length <= MAX_IDEMPOTENCY_KEY) return key
  throw new AppError('INVALID_REQUEST', `Idempotency-Key must have 1 to ${MAX_IDEMPOTENCY_KEY} characters`)
}

/** What is named, for the log: an id, a range, a name; never more of what was sent. */
function itemOf ({ id, range, name, key }: Readonly<Record<string, unknown>>): string | undefined {
  const item = [id, range, name, key].find(value => typeof value === 'string') as string | undefined
  return item?.slice(0, 128)
}

function without (body: unknown, secret: string | undefined): unknown {
  if (secret === undefined) return body
  const { [secret]: _, ...rest } = body as Record<string, unknown>
  return rest
}
