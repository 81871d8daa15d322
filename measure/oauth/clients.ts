// `npm run measure clients`: clients and authorization servers of others, each with each: logged in, tools seen, a tool
// called, and how long it took. --record writes it into docs/measurements.md.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startBetterAuth } from '../../test/support/authorization-servers/better-auth.ts'
import { startGlewlwyd } from '../../test/support/authorization-servers/glewlwyd.ts'
import { startOidcProvider } from '../../test/support/authorization-servers/oidc-provider.ts'
import { CODEX, codex, LOGIN_CLIENTS } from '../../test/support/login-clients.ts'
import { MAIN } from '../../test/support/processes.ts'
import { freePort } from '../../test/support/redis.ts'
import { until } from '../../test/support/until.ts'
import { circumstances, markdownTable, writeSection } from '../report.ts'

const CLIENTS = { ...LOGIN_CLIENTS, [`Codex ${CODEX}`]: codex }

const rows: string[][] = []
let missed = 0
for (const start of [startOidcProvider, startBetterAuth, startGlewlwyd]) {
  const port = await freePort()
  const origin = `http://localhost:${port}`
  const server = await start(`${origin}/mcp`)
  const folder = mkdtempSync(join(tmpdir(), 'secure-mcp-clients-'))
  const ours = spawn(process.execPath, [MAIN, 'serve'], {
    stdio: 'ignore',
    env: { PATH: process.env.PATH, PORT: String(port), MANAGEMENT_PORT: '0', PUBLIC_URL: origin, OAUTH2_AUTH_SERVER: server.issuer, API_KEYS_FILE: join(folder, 'api_keys.json') }
  })
  await until(async () => await fetch(`${origin}/livez`).then(({ ok }) => ok, () => false))
  for (const [client, logIn] of Object.entries(CLIENTS)) {
    const began = performance.now()
    let result: string
    try {
      const { tools, said, scope } = await logIn(`${origin}/mcp`, url => server.login(url))
      const called = JSON.stringify(said).includes('logged in')
      result = `${tools.length} tools, ${called ? 'called' : '**not called**'}, ${((performance.now() - began) / 1000).toFixed(1)} s`
      if (!called || tools.length === 0) missed++
      process.stdout.write(`${client} at ${server.name}: asked for "${scope}", ${result}\n`)
    } catch (error) {
      missed++
      result = `**${(error as Error).message.split('\n', 1)[0]}**`
      process.stdout.write(`${client} at ${server.name}: ${(error as Error).message}\n`)
    }
    rows.push([client, server.name, result])
  }
  ours.kill()
  await server.close()
  rmSync(folder, { recursive: true, force: true })
}

const servers = [...new Set(rows.map(row => row[1]!))]
const table = Object.keys(CLIENTS).map(client => [client, ...servers.map(name => rows.find(row => row[0] === client && row[1] === name)?.[2] ?? '')])
process.stdout.write(`\n${markdownTable(['client', ...servers], table)}\n`)
if (process.argv.includes('--record')) {
  writeSection('clients', [
    '## Clients and authorization servers of others', '', circumstances('npm run measure clients -- --record'), '',
    'Each client knows the address of the endpoint alone. It finds the authorization server, registers, has a person log in, lists the tools and calls one. The seconds are of one run, with all of that in them.', '',
    markdownTable(['client', ...servers], table)
  ].join('\n'))
}
process.exitCode = missed === 0 ? 0 : 1
