import { execFileSync, spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { debianProgram, fetchPackage } from '../debian.ts'
import { freePort } from '../redis.ts'
import { until } from '../until.ts'
import { Browser, SCOPES, type OtherServer } from './browser.ts'

const ADMIN = { username: 'admin', password: 'password' }
const PERSON = { username: 'ada', password: 'a-password-of-ada' }

/**
 * Debian's glewlwyd with its own defaults: an external URL that ends with a
 * slash, so that its authorization endpoint has two; metadata at the third
 * place alone; no public client unless an administrator says so.
 *
 * @param issuerPath what its issuer has behind the origin; empty as in its own documentation
 */
export async function startGlewlwyd (resource: string, issuerPath = '/api/oidc'): Promise<OtherServer & { metadataUrl: string }> {
  const { root, env } = fetchPackage('glewlwyd')
  const folder = mkdtempSync(join(tmpdir(), 'glewlwyd-'))
  const port = await freePort()
  const origin = `http://localhost:${port}`
  writeFileSync(join(folder, 'glewlwyd.conf'), configOf(root, folder, port))
  makeDatabase(root, join(folder, 'glewlwyd.db'))
  const child = spawn(join(root, 'usr/bin/glewlwyd'), [`--config-file=${join(folder, 'glewlwyd.conf')}`], { env, stdio: 'ignore' })
  process.once('exit', () => child.kill())
  await until(async () => await fetch(`${origin}/config`).then(response => response.ok, () => false))

  const admin = new Browser()
  await admin.send('POST', `${origin}/api/auth/`, ADMIN)
  for (const name of SCOPES) await done(admin.send('POST', `${origin}/api/scope/`, { name, display_name: name, description: name, password_required: false, password_max_age: 0, scheme: {} }))
  const issuer = origin + issuerPath
  await done(admin.send('POST', `${origin}/api/mod/plugin/`, { module: 'oidc', name: 'oidc', display_name: 'oidc', enabled: true, parameters: pluginOf(issuer, resource) }))
  await done(admin.send('POST', `${origin}/api/user/`, { ...PERSON, name: 'Ada', scope: ['g_profile', ...SCOPES], enabled: true }))

  return {
    name: 'glewlwyd 2.7.5',
    issuer,
    metadataUrl: `${origin}/api/oidc/.well-known/openid-configuration`,
    async register (redirectUri) {
      const secret = 'a-login-secret-of-the-test-0123456789'
      await done(admin.send('POST', `${origin}/api/client/`, {
        client_id: 'login', name: 'login', redirect_uri: [redirectUri], authorization_type: ['code', 'client_credentials'], confidential: true, client_secret: secret, password: secret, token_endpoint_auth_method: ['client_secret_basic'], enabled: true, scope: SCOPES
      }))
      return { id: 'login', secret }
    },
    async login (url) {
      const client = `${origin}/api/client/${url.searchParams.get('client_id')}`
      const registered = JSON.parse((await admin.visit(client)).text) as { token_endpoint_auth_method?: string[] }
      // It takes every client that registers itself for confidential, those without a secret too; that is for its administrator to mend.
      if (registered.token_endpoint_auth_method?.[0] === 'none') await done(admin.send('PUT', client, { ...registered, confidential: false }))
      const browser = new Browser()
      await done(browser.send('POST', `${origin}/api/auth/`, PERSON))
      await done(browser.send('PUT', `${origin}/api/auth/grant/${url.searchParams.get('client_id')}`, { scope: url.searchParams.get('scope') }))
      url.searchParams.set('g_continue', '')
      const { location, status, text } = await browser.visit(url)
      if (location === undefined) throw new Error(`${status} ${text}`)
      return new URL(location, url)
    },
    async close () {
      child.kill()
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

async function done (answer: Promise<{ status: number, text: string }>): Promise<void> {
  const { status, text } = await answer
  if (status !== 200) throw new Error(`glewlwyd: ${status} ${text}`)
}

/** Its sample, with folders and port of ours, on loopback alone. */
function configOf (root: string, folder: string, port: number): string {
  return gunzipSync(readFileSync(join(root, 'usr/share/doc/glewlwyd/glewlwyd.conf.sample.gz'))).toString()
    .replace(/^port=.*$/m, `port=${port}`)
    .replace(/^#bind_address=.*$/m, 'bind_address="127.0.0.1"')
    .replace(/^external_url=.*$/m, `external_url="http://localhost:${port}/"`)
    .replace(/^cookie_secure=.*$/m, 'cookie_secure=0')
    .replace(/^cookie_same_site=.*$/m, '')
    .replaceAll('/usr/lib/glewlwyd', join(root, 'usr/lib/glewlwyd'))
    .replaceAll('/usr/share/glewlwyd', join(root, 'usr/share/glewlwyd'))
    .replaceAll('/var/cache/glewlwyd', folder)
    .replaceAll('/var/log', folder)
}

function makeDatabase (root: string, path: string): void {
  const { program, env } = debianProgram('sqlite3', 'usr/bin/sqlite3')
  const sql = gunzipSync(readFileSync(join(root, 'usr/share/doc/glewlwyd/database/init.sqlite3.sql.gz')))
  execFileSync(program, [path], { env, input: sql, stdio: ['pipe', 'ignore', 'inherit'] })
}

/** Its OpenID Connect plugin, with what MCP clients need: PKCE, registration, resources, introspection. */
function pluginOf (issuer: string, resource: string): object {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const key = { ...privateKey.export({ format: 'jwk' }), kid: 'one', alg: 'ES256', use: 'sig' }
  return {
    iss: issuer,
    'jwt-type': 'ecdsa',
    'jwt-key-size': '256',
    'jwks-private': JSON.stringify({ keys: [key] }),
    'default-kid': 'one',
    'jwks-show': true,
    'subject-type': 'public',
    'access-token-duration': 3600,
    'refresh-token-duration': 86_400,
    'code-duration': 600,
    'refresh-token-rolling': true,
    'allow-non-oidc': true,
    'auth-type-code-enabled': true,
    'auth-type-refresh-enabled': true,
    'auth-type-client-enabled': true,
    'auth-type-token-enabled': false,
    'auth-type-none-enabled': false,
    'auth-type-password-enabled': false,
    'auth-type-implicit-enabled': false,
    'auth-type-device-enabled': false,
    'auth-type-code-revoke-replayed': true,
    'pkce-allowed': true,
    'pkce-method-plain-allowed': false,
    'introspection-revocation-allowed': true,
    'introspection-revocation-allow-target-client': true,
    'register-client-allowed': true,
    'register-client-auth-scope': [],
    'register-client-credentials-scope': SCOPES,
    'register-resource-specify-allowed': true,
    'resource-allowed': true,
    'resource-scope': Object.fromEntries(SCOPES.map(scope => [scope, [resource]])),
    'resource-scope-and-client-property': false,
    'resource-client-property': '',
    'allowed-scope': ['openid', ...SCOPES],
    'oauth-as-iss-id': true,
    scope: []
  }
}
