/**
 * A result that came from an MCP server behind this one and goes on as it is:
 * its bounds and its shape were held to the protocol where it came in.
 */
export class Relayed<Result extends object> {
  readonly result: Result

  constructor (result: Result) {
    this.result = result
  }
}
