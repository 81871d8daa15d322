/**
 * The authorization server did not answer as one: nothing can be said about
 * the token. The text goes to the log; it never holds a token.
 */
export class Unreachable extends Error {
  override readonly name = 'Unreachable'
  /** Another place of the same server would say no more: nobody listens there, or it is left alone for now. */
  readonly final: boolean

  constructor (message: string, { final = false }: { final?: boolean } = {}) {
    super(message)
    this.final = final
  }
}
