/** A person's browser, as far as logins need it: keeps cookies, follows redirects, and is told what to press. */
export class Browser {
  readonly #jar = new Map<string, string>()

  /** One request; a redirect is not followed. */
  async visit (url: string | URL, init: RequestInit = {}): Promise<{ status: number, location: string | undefined, text: string }> {
    const cookie = [...this.#jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const response = await fetch(url, { ...init, redirect: 'manual', headers: { accept: 'text/html', ...init.headers as Record<string, string>, ...(cookie === '' ? {} : { cookie }) } })
    for (const line of response.headers.getSetCookie()) {
      const [name, value] = line.split(';', 1)[0]!.split(/=(.*)/s) as [string, string]
      if (value === '') this.#jar.delete(name)
      else this.#jar.set(name, value)
    }
    const text = await response.text()
    const location = response.headers.get('location') ?? undefined
    return { status: response.status, location, text }
  }

  /** A request with a JSON body. */
  async send (method: string, url: string | URL, body: unknown): Promise<{ status: number, location: string | undefined, text: string }> {
    return await this.visit(url, { method, body: JSON.stringify(body), headers: { 'content-type': 'application/json', accept: 'application/json', origin: new URL(url).origin } })
  }
}

/** An authorization server of others, beside which ours is tried. */
export interface OtherServer {
  /** For titles of tests. */
  readonly name: string
  readonly issuer: string
  /** Make a client for the browser login and introspection. */
  register (redirectUri: string): Promise<{ id: string, secret: string }>
  /**
   * What a person does: open the address, sign in, agree.
   *
   * @returns where the browser is sent with the code
   */
  login (url: URL): Promise<URL>
  close (): Promise<void>
}

/** The scopes that each of them is set up with. */
export const SCOPES = ['mcp:server:access', 'mcp:tool:*']
