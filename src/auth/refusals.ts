/** Refusals of credentials that the chain tells apart. */
import { AppError, type AppErrorOptions } from '../errors.ts'

/**
 * The credential was good once and is over: a token with a good signature that
 * has expired or was revoked. To the caller it is like every other bad one. It
 * is no guess, so it does not count as a failure of its address: clients behind
 * one gateway learn by the 401 that they must renew.
 */
export class EndedCredential extends AppError {
  constructor (why: string, more: Pick<AppErrorOptions, 'rule' | 'principal'> = {}) {
    super('INVALID_CREDENTIAL', 'Authentication required', { cause: why, ...more })
  }
}
