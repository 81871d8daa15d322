// `npm run demo:oauth`: an authorization server and our server side by side, to click through the login. Both listen on
// loopback; nothing is kept. Stop with Ctrl-C.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import './typescript.mjs'

const { startAuthorizationServer } = await import('../test/support/authorization-server.ts')
const { freePort } = await import('../test/support/redis.ts')

const port = Number(process.env.PORT || 0) || await freePort()
const origin = `http://localhost:${port}`
const secret = randomBytes(24).toString('base64url')
const folder = mkdtempSync(join(tmpdir(), 'secure-mcp-demo-'))

const server = await startAuthorizationServer({
  resource: `${origin}/mcp`,
  scopes: ['mcp:server:access', 'mcp:tool:*', ...['hello_world', 'echo', 'get_time', 'debug_info'].map(name => `mcp:tool:${name}`)],
  clients: [{
    client_id: 'secure-mcp-login',
    client_secret: secret,
    redirect_uris: [`${origin}/oauth/callback`],
    grant_types: ['authorization_code'],
    response_types: ['code']
  }]
})

const ours = spawn(process.execPath, ['dist/src/cli/main.js', 'serve'], {
  stdio: ['ignore', 'pipe', 'pipe'],
  env: {
    PATH: process.env.PATH,
    HOST: '127.0.0.1',
    PORT: String(port),
    MANAGEMENT_PORT: '0',
    PUBLIC_URL: origin,
    API_KEYS_FILE: join(folder, 'api_keys.json'),
    OAUTH2_AUTH_SERVER: server.issuer,
    OAUTH2_CLIENT_ID: 'secure-mcp-login',
    OAUTH2_CLIENT_SECRET: secret
  }
})
let problems = ''
ours.stderr.on('data', data => { problems += data })
ours.stdout.resume()

try {
  await answers(`${origin}/livez`)
  process.stdout.write(`
  Log in by browser      ${origin}/oauth/login
                         (any name will do; the page afterwards shows how to call a tool)

  Or let a client do it  ${origin}/mcp
                         Give it this address alone: it finds the authorization server, registers and logs in.
                         For example: npx -y @modelcontextprotocol/inspector

  Authorization server   ${server.issuer}
  Stop                   Ctrl-C

`)
} catch (error) {
  process.stderr.write(problems || `${error.message}\n`)
  process.exitCode = 1
  ours.kill()
}
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => ours.kill())
await new Promise(resolve => { if (ours.exitCode !== null) resolve(); else ours.once('exit', resolve) })
await server.close()
rmSync(folder, { recursive: true, force: true })

async function answers (url) {
  for (const until = Date.now() + 15_000; Date.now() < until;) {
    if (ours.exitCode !== null) throw new Error('the server ended at once')
    if (await fetch(url).then(response => response.ok, () => false)) return
    await new Promise(resolve => setTimeout(resolve, 100))
  }
  throw new Error('the server did not answer within 15 seconds')
}
