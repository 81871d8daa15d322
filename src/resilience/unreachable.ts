/**
 * The authorization server did not answer as one: nothing can be said about
 * the token. The text goes to the log; it never holds a token.
 */
export class Unreachable extends Error {
  override readonly name = 'Unreachable'
  /** Something answered, though not as it should. */
  readonly answered: boolean

  constructor (message: string, { answered = false }: { answered?: boolean } = {}) {
    super(message)
    this.answered = answered
  }
}
