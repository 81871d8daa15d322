import { startAuthorizationServer } from '../authorization-server.ts'
import { Browser, SCOPES, type OtherServer } from './browser.ts'

/** oidc-provider, the one that most tests use. */
export async function startOidcProvider (resource: string): Promise<OtherServer> {
  const { issuer, close } = await startAuthorizationServer({ resource, scopes: SCOPES })
  return {
    name: 'oidc-provider 9.13.3',
    issuer,
    close,
    async register (redirectUri) {
      const response = await fetch(`${issuer}/reg`, {
        method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ redirect_uris: [redirectUri], token_endpoint_auth_method: 'client_secret_basic' })
      })
      const { client_id: id, client_secret: secret } = await response.json() as { client_id: string, client_secret: string }
      return { id, secret }
    },
    async login (start) {
      const browser = new Browser()
      let url = start
      for (let step = 0; step < 20; step++) {
        const here = url.pathname.startsWith('/interaction/')
          ? await browser.visit(url, { method: 'POST', body: new URLSearchParams({ name: 'ada' }) })
          : await browser.visit(url)
        if (here.location === undefined) throw new Error(`stopped at ${url.pathname}: ${here.status} ${here.text}`)
        url = new URL(here.location, url)
        if (url.origin !== issuer) return url
      }
      throw new Error('too many steps')
    }
  }
}
