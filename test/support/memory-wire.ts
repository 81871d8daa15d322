import type { Wire, WireExchange } from '../../src/upstreams/wire.ts'
import type { Received, ScriptedUpstream } from './scripted-upstream.ts'

export interface MemoryWireOptions {
  /** Answers bear the exchange of their question, as over HTTP. */
  readonly http?: boolean
}

/** A wire that ends in a scripted server of the same process. */
export class MemoryWire implements Wire {
  onText: Wire['onText'] = () => false
  onTooLarge: Wire['onTooLarge'] = () => {}
  onClose: Wire['onClose'] = () => {}
  readonly sent: Array<{ message: Received, headers: WireExchange['headers'], caller?: WireExchange['caller'] }> = []
  readonly abandoned: WireExchange[] = []
  /** Texts that were no message. */
  noise = 0
  closed = false
  readonly #server: ScriptedUpstream
  readonly #http: boolean

  constructor (server: ScriptedUpstream, { http = false }: MemoryWireOptions = {}) {
    this.#server = server
    this.#http = http
  }

  send (text: string, exchange?: WireExchange): void {
    if (this.closed) return exchange?.onEnd?.({ kind: 'closed', message: 'is not running', sent: false })
    const message = JSON.parse(text) as Received
    this.sent.push({ message, headers: exchange?.headers, caller: exchange?.caller })
    setImmediate(() => {
      this.#server.receive(message, text => this.say(text, this.#http ? exchange : undefined)).catch(error => { throw error })
    })
  }

  /** As if the server had written it. */
  say (text: string, exchange?: WireExchange): void {
    if (!this.closed && !this.onText(text, exchange)) this.noise++
  }

  /** As if the server had gone. */
  break (why = 'exited with code 7'): void {
    if (this.closed) return
    this.closed = true
    this.onClose(why)
  }

  abandon (exchange: WireExchange): void {
    this.abandoned.push(exchange)
  }

  async close (): Promise<void> {
    this.closed = true
  }
}
