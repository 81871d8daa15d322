/** Clients of others that log in by themselves: each is given the address of the endpoint alone. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Client as Client2, StreamableHTTPClientTransport as Transport2 } from '@modelcontextprotocol/client'
import type { OAuthClientProvider } from '@modelcontextprotocol/sdk/client/auth.js'
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { StreamableHTTPClientTransport as Transport1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { fetched } from './npm.ts'
import { freePort } from './redis.ts'
import { until } from './until.ts'

export interface Tried {
  /** What the authorization server was asked for. */
  readonly scope: string | undefined
  readonly tools: readonly string[]
  /** What `echo` answered. */
  readonly said: unknown
}

/** Opens the address, signs in and agrees: see `OtherServer.login`. */
export type Person = (url: URL) => Promise<URL>

export type LoginClient = (endpoint: string, person: Person) => Promise<Tried>

export const MCP_REMOTE = '0.15.1'
export const CODEX = '0.171.0'

const REDIRECT = 'http://127.0.0.1:9/callback'
const ECHO = { name: 'echo', arguments: { text: 'logged in' } }

/** What a client keeps of its login, in memory. */
class Memory implements OAuthClientProvider {
  visited: URL | undefined
  registered: any
  saved: any
  verifier = ''
  discovered: any
  readonly redirectUrl = REDIRECT
  readonly clientMetadata = {
    // For servers that take every client for one of the web (OpenID Connect Registration §2).
    application_type: 'native',
    client_name: 'test',
    redirect_uris: [REDIRECT],
    token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code']
  }

  clientInformation () { return this.registered }
  saveClientInformation (information: unknown) { this.registered = information }
  tokens () { return this.saved }
  saveTokens (tokens: unknown) { this.saved = tokens }
  redirectToAuthorization (url: URL) { this.visited = url }
  saveCodeVerifier (verifier: string) { this.verifier = verifier }
  codeVerifier () { return this.verifier }
  saveDiscoveryState (state: unknown) { this.discovered = state }
  discoveryState () { return this.discovered }
}

const sdk1: LoginClient = async (endpoint, person) => {
  const authProvider = new Memory()
  const first = new Transport1(new URL(endpoint), { authProvider })
  await new Client1({ name: 'test', version: '1' }).connect(first).catch(() => {})
  const code = (await person(authProvider.visited!)).searchParams.get('code')
  await first.finishAuth(code!)
  const client = new Client1({ name: 'test', version: '1' })
  await client.connect(new Transport1(new URL(endpoint), { authProvider }))
  return await use(client, authProvider.visited)
}

const sdk2 = (mode: 'legacy' | { pin: string }): LoginClient => async (endpoint, person) => {
  const authProvider = new Memory()
  const first = new Transport2(new URL(endpoint), { authProvider })
  await new Client2({ name: 'test', version: '1' }, { versionNegotiation: { mode } }).connect(first).catch(() => {})
  await first.finishAuth((await person(authProvider.visited!)).searchParams)
  const client = new Client2({ name: 'test', version: '1' }, { versionNegotiation: { mode } })
  await client.connect(new Transport2(new URL(endpoint), { authProvider }))
  return await use(client, authProvider.visited)
}

/** mcp-remote from npm, between a client over standard input and our endpoint. It opens no browser here: its words are read. */
const mcpRemote: LoginClient = async (endpoint, person) => {
  const program = createRequire(join(fetched('mcp-remote', [`mcp-remote@${MCP_REMOTE}`]), 'package.json')).resolve('mcp-remote/dist/proxy.js')
  const folder = mkdtempSync(join(tmpdir(), 'mcp-remote-'))
  const port = await freePort()
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [program, endpoint, String(port), '--transport', 'http-only', '--auth-timeout', '120'],
    // Without a program that opens pages.
    env: { PATH: '', HOME: folder, MCP_REMOTE_CONFIG_DIR: folder },
    stderr: 'pipe'
  })
  let heard = ''
  let asked: URL | undefined
  const failed = new Promise<never>((_resolve, reject) => {
    transport.stderr!.on('data', (data: Buffer) => {
      heard += data.toString()
      const found = /(https?:\/\/\S+[?&]code_challenge=\S+)/.exec(heard)?.[1]
      if (found === undefined || asked !== undefined) return
      asked = new URL(found)
      person(asked).then(async back => await fetch(back)).catch(reject)
    })
  })
  const client = new Client1({ name: 'test', version: '1' })
  try {
    await Promise.race([client.connect(transport, { timeout: 120_000 }), failed]).catch(error => { throw new Error(`${(error as Error).message}\n${heard}`) })
    return await use(client, asked)
  } finally {
    await client.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function use (client: { listTools: () => Promise<{ tools: Array<{ name: string }> }>, callTool: (call: typeof ECHO) => Promise<unknown>, close: () => Promise<void> }, asked: URL | undefined): Promise<Tried> {
  const { tools } = await client.listTools()
  const { content } = await client.callTool(ECHO) as { content: unknown }
  await client.close()
  return { scope: asked?.searchParams.get('scope') ?? undefined, tools: tools.map(({ name }) => name).sort(), said: content }
}

/**
 * Codex, as an editor drives it: no model is asked. It identifies itself by a
 * metadata document on the web where it may choose; here it registers. Its
 * package has 400 MB, so no test fetches it.
 */
export const codex: LoginClient = async (endpoint, person) => {
  const program = join(fetched('codex', [`@openai/codex@${CODEX}`]), 'node_modules/@openai/codex/bin/codex.js')
  const home = mkdtempSync(join(tmpdir(), 'codex-'))
  writeFileSync(join(home, 'config.toml'), `mcp_oauth_credentials_store = "file"\n[analytics]\nenabled = false\n[mcp_servers.ours]\nurl = "${endpoint}"\n`)
  const child = spawn(process.execPath, [program, 'app-server'], { env: { PATH: process.env.PATH, HOME: home, CODEX_HOME: home }, stdio: ['pipe', 'pipe', 'ignore'] })
  const heard: any[] = []
  createInterface({ input: child.stdout }).on('line', line => heard.push(JSON.parse(line)))
  let id = 0
  const send = (message: object) => child.stdin.write(JSON.stringify({ jsonrpc: '2.0', ...message }) + '\n')
  const ask = async (method: string, params: object): Promise<any> => {
    const mine = ++id
    send({ id: mine, method, params })
    await until(() => heard.some(message => message.id === mine))
    const { result, error } = heard.find(message => message.id === mine)
    if (error !== undefined) throw new Error(`codex ${method}: ${error.message}`)
    return result
  }
  try {
    await ask('initialize', { clientInfo: { name: 'test', title: 'test', version: '1' } })
    send({ method: 'initialized' })
    const asked = new URL((await ask('mcpServer/oauth/login', { name: 'ours', clientRegistration: 'dcr' })).authorizationUrl)
    await fetch(await person(asked))
    await until(() => heard.some(({ method }) => method === 'mcpServer/oauthLogin/completed'))
    const { data: [{ tools }] } = await ask('mcpServerStatus/list', {})
    const { thread } = await ask('thread/start', { cwd: home, ephemeral: true })
    const { content } = await ask('mcpServer/tool/call', { server: 'ours', threadId: thread.id, tool: ECHO.name, arguments: ECHO.arguments })
    return { scope: asked.searchParams.get('scope') ?? undefined, tools: Object.keys(tools).sort(), said: content }
  } finally {
    child.kill()
    rmSync(home, { recursive: true, force: true })
  }
}

/** By what they are called in tables. */
export const LOGIN_CLIENTS: Readonly<Record<string, LoginClient>> = {
  'SDK 1.32': sdk1,
  'SDK 2.x, 2025-11-25': sdk2('legacy'),
  'SDK 2.x, 2026-07-28': sdk2({ pin: '2026-07-28' }),
  [`mcp-remote ${MCP_REMOTE}`]: mcpRemote
}
